"""The search finds who needs what; a broken one does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from sfg_nas.config import Value
from sfg_nas.data import DataBundle
from sfg_nas.errors import ConfigError
from sfg_nas.study import Study, load_study
from sfg_nas.study.planted import detector_bank, score_bank, truth_of
from tests.scripts import load_script

FOUND = 0.95
"""What a working search reaches, and a broken one must not."""


def planted(changes: Mapping[str, Value] | None = None) -> Study:
    """Return a study that takes seconds: the one whose settings decided the defaults."""
    return load_study(base_settings(), dict(changes or {}))


def base_settings() -> dict[str, Value]:
    settings: dict[str, Value] = load_script("benchmarks/planted_defaults.py").BASE
    return settings


def shuffled(data: DataBundle) -> DataBundle:
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(3))
    targets = {task: labels[order] for task, labels in data.train.targets.items()}
    return replace(data, train=replace(data.train, targets=targets))


def test_each_detector_answers_to_its_own_factor() -> None:
    study = planted({"data.noise": 0.0})
    bank = detector_bank(truth_of(study), study.data.train)
    truth = truth_of(study)
    empty = torch.zeros(len(truth.roles), 3, 16, 16)
    empty[:, :, 6:9, 6:9] = torch.from_numpy(truth.patterns)
    train = study.data.train
    view = (1, 3, 1, 1)
    images = (empty - torch.tensor(train.mean).view(view)) / torch.tensor(train.std).view(view)
    answers = bank[1](bank[0](images)).amax((2, 3))
    assert torch.allclose(answers.diag(), torch.full((len(truth.roles),), 0.5), atol=1e-4)
    assert (answers.argmax(1) == torch.arange(len(truth.roles))).all()
    assert [p.requires_grad for p in bank[0].parameters()] == [False, False]


def test_whitened_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="scale of the pixels"):
        score_bank(planted({"data.normalisation": "image"}), seed=0)


@pytest.mark.slow
def test_a_search_finds_the_planted_roles() -> None:
    scores = score_bank(planted(), seed=0)
    assert scores["auroc"] >= FOUND
    assert scores["accuracy"] >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["shuffled labels", "frozen p", "wrong sign of the cost"])
def test_a_broken_search_does_not(broken: str) -> None:
    changes: dict[str, Value] = {}
    if broken == "frozen p":
        changes = {"sharing.warmup_epochs": 19.99}
    study = planted(changes)
    if broken == "wrong sign of the cost":  # the study file refuses it
        sharing = study.config.sharing.model_copy(update={"lambda3": -0.3})
        study = replace(study, config=study.config.model_copy(update={"sharing": sharing}))
    data = shuffled(study.data) if broken == "shuffled labels" else None
    assert score_bank(study, seed=0, data=data)["auroc"] < 0.8 < FOUND
