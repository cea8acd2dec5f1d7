"""Plain networks of a study: hard sharing at any width, and what a network costs."""

from __future__ import annotations

import torch
from torch import nn

from sfg_nas.baselines import hard_sharing
from sfg_nas.config import BackboneConfig
from sfg_nas.cost import count_macs
from sfg_nas.study.study import Study
from sfg_nas.training import fenced_random_state


def scaled_by(section: BackboneConfig, factor: float) -> BackboneConfig:
    """Return a backbone's section at a factor on its width.

    Args:
        section: The section.
        factor: Above 0.
    """
    return section.model_copy(update={"width": section.width * factor})


def hard_network(study: Study, section: BackboneConfig, *, seed: int) -> nn.Module:
    """Return a new network of one trunk for all tasks of a study.

    Args:
        study: The study.
        section: Of the backbone.
        seed: Of its weights.
    """
    with fenced_random_state(seed):
        return hard_sharing(
            lambda: study.make_backbone(section), study.tasks, study.data.image_shape
        )


def macs_of(network: nn.Module, study: Study) -> int:
    """Return a network's multiply-accumulates for one image of the study.

    Args:
        network: Maps images to outputs.
        study: The study.
    """
    own = next(network.parameters())  # where it lives, and its precision
    image = torch.zeros(1, *study.data.image_shape, device=own.device, dtype=own.dtype)
    return count_macs(network, image)
