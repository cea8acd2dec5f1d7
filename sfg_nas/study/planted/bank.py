"""Does the search find who needs what, when the features are known? A frozen bank of detectors.

The first layer holds one filter for each planted factor, its pattern, and is not trained; a trained
layer mixes what the bank finds. The search must give each detector to the tasks that need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from sfg_nas.config import BackboneConfig
from sfg_nas.data import DataBundle, Examples
from sfg_nas.data.planted import Truth, plant
from sfg_nas.errors import ConfigError, explain
from sfg_nas.sharing import Supernet
from sfg_nas.study.planted.roles import role_scores
from sfg_nas.study.settings import search_settings, training_settings
from sfg_nas.study.study import Study
from sfg_nas.training import SupernetMethod, derive_seed, fit, make_fabric

THRESHOLD = 0.5
"""A detector answers where its pattern's share of the image is above this; a pattern has norm 1."""
MIXERS = 32
"""Filters of the trained layer behind the bank."""
TRUTH_OPTIONS = ("tasks", "factors", "relatedness", "conflict", "pairs", "seed")


def truth_of(study: Study) -> Truth:
    """Return what was planted in a study's data.

    Args:
        study: A study whose data set is `planted`.
    """
    options = study.config.data.options | {"seed": study.config.data.seed}
    return plant(**{key: options[key] for key in TRUTH_OPTIONS if key in options})  # type: ignore[arg-type]


def detector_bank(truth: Truth, images: Examples, *, mixers: int = MIXERS) -> nn.Module:
    """Return a network whose first layer is a frozen detector of each factor.

    Args:
        truth: What was planted.
        images: The training part, for the scale of its pixels.
        mixers: Filters of the trained layer.
    """
    patterns = torch.from_numpy(truth.patterns)
    factors, channels, side, _ = patterns.shape
    detectors = nn.Conv2d(channels, factors, side, padding=side // 2)
    view = (1, channels, 1, 1)
    with torch.no_grad():  # the network sees (pixel - mean) / std
        detectors.weight.copy_(patterns * torch.tensor(images.std).view(view))
        level = (patterns * torch.tensor(images.mean).view(view)).sum((1, 2, 3))
        detectors.bias.copy_(level - THRESHOLD)  # type: ignore[union-attr]
    detectors.requires_grad_(False)
    return nn.Sequential(
        detectors,
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(factors, affine=False),
        nn.Conv2d(factors, mixers, 3, padding=1, bias=False),
        nn.BatchNorm2d(mixers),
        nn.ReLU(),
    )


def bank_study(study: Study, *, mixers: int = MIXERS) -> Study:
    """Return the study with the detector bank for a backbone.

    Args:
        study: A study whose data set is `planted`.
        mixers: Filters of the trained layer.

    Raises:
        ConfigError: If each image is normalised by itself.
    """
    truth = truth_of(study)
    if study.config.data.normalisation == "image":
        raise ConfigError(
            explain(
                where="data.normalisation",
                rule="the detectors of planted factors need to know the scale of the pixels",
                found="image",
                do="write `normalisation: dataset`, or leave it out",
            )
        )

    def backbone(config: BackboneConfig, shape: Sequence[int]) -> nn.Module:
        del config, shape
        return detector_bank(truth, study.data.train, mixers=mixers)

    return replace(study, backbone=backbone)


def searched(study: Study, *, seed: int, data: DataBundle | None = None) -> Supernet:
    """Return a supernet after a search with the study's own settings, relaxed.

    Args:
        study: Any study.
        seed: Of weights, masks and the order of the data.
        data: Other images to train with, such as ones with shuffled labels.
    """
    config, train = study.config, (data or study.data).train
    settings = training_settings(config.training, config.data.augment)
    supernet = study.make_supernet(config, seed=seed)
    method = SupernetMethod(
        supernet,
        study.tasks,
        search_settings(config, len(train)),
        steps=settings.epochs * max(len(train) // settings.batch_size, 1),
    )
    fabric = make_fabric("cpu", precision=config.training.precision)
    fit(method, train, settings, fabric=fabric, seed=derive_seed(seed, "data"))
    return supernet


def score_bank(study: Study, *, seed: int, data: DataBundle | None = None) -> dict[str, float]:
    """Return how well one search over the frozen bank finds the planted roles; see `role_scores`.

    Args:
        study: A study whose data set is `planted`; its backbone does not matter.
        seed: Of weights, masks and the order of the data.
        data: Other images to train with, such as ones with shuffled labels.
    """
    supernet = searched(bank_study(study), seed=seed, data=data)
    bank = next(iter(supernet.probabilities().values()))
    return role_scores(bank.cpu().numpy(), supernet.groups, truth_of(study).roles)
