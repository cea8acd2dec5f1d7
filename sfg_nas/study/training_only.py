"""What hard sharing is trained with and a fixed network is not, in words."""

from __future__ import annotations

import torch

from sfg_nas.sharing import unseen_draws
from sfg_nas.study.study import Study
from sfg_nas.training import fenced_random_state

_SHOWN = 2


def training_only(study: Study) -> str:
    """Return what to know of a backbone that draws random numbers in training alone, empty if it does not.

    Args:
        study: The study.
    """
    with fenced_random_state(0):
        backbone = study.make_backbone(study.config.backbone)
    found = unseen_draws(backbone, torch.zeros(2, *study.data.image_shape))
    if not found:
        return ""
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return (
        f"the backbone draws random numbers in training that are no dropout ({', '.join(found[:_SHOWN])}{more}; stochastic "
        "depth, say): single-task networks and hard sharing are trained with them, networks of an allocation, found or "
        "not, without"
    )
