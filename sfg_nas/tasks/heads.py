"""Heads that several kinds share."""

from __future__ import annotations

import torch
from torch import nn

from sfg_nas.tasks.kind import WrongFieldError

_POOLS: dict[int, type[nn.Module]] = {
    2: nn.AdaptiveAvgPool1d,
    3: nn.AdaptiveAvgPool2d,
    4: nn.AdaptiveAvgPool3d,
}


def pooled_head(features: torch.Size, outputs: int) -> nn.Module:
    """Return global average pooling and one linear layer, for features `[C]` or `[C, *spatial]`.

    Args:
        features: With up to three spatial dimensions.
        outputs: Of the linear layer.

    Raises:
        WrongFieldError: If the shape has none or more than three spatial dimensions.
    """
    if not 1 <= len(features) <= 4:
        rule = "features of shape [C] or [C, *spatial] are needed"
        raise WrongFieldError("head", rule, tuple(features))
    linear = nn.Linear(features[0], outputs)
    if len(features) == 1:
        return linear
    return nn.Sequential(_POOLS[len(features)](1), nn.Flatten(), linear)
