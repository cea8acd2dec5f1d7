"""What hard sharing is trained with and a fixed network is not, in words."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sfg_nas.sharing import in_training
from sfg_nas.study.study import Study
from sfg_nas.training import fenced_random_state

_SHOWN = 2


def training_only(study: Study) -> list[str]:
    """Return what to know of a backbone that does something in training alone, empty if it does not.

    Args:
        study: The study.
    """
    with fenced_random_state(0):
        backbone = study.make_backbone(study.config.backbone)
    found = in_training(backbone, torch.zeros(2, *study.data.image_shape))
    notes = []
    if found.draws:
        notes.append(
            f"the backbone draws random numbers in training that are no dropout ({_some(found.draws)}; stochastic depth, say): "
            "single-task networks and hard sharing are trained with them, networks of an allocation, found or not, without"
        )
    if found.computed:
        notes.append(
            f"the backbone computes filters from other tensors ({_some(found.computed)}; weight norm, weight standardisation or a "
            "mask, say): single-task networks and hard sharing are trained through that, networks of an allocation, found "
            "or not, have what was computed as weights and train these"
        )
    if found.gradients:
        notes.append(
            f"the backbone has functions whose gradient is not that of what they compute ({_some(found.gradients)}): single-task "
            "networks and hard sharing are trained by it, networks of an allocation, found or not, by the gradient of what is computed"
        )
    return notes


def _some(found: Sequence[str]) -> str:
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{', '.join(found[:_SHOWN])}{more}"
