"""Heads that several kinds share."""

from __future__ import annotations

from collections.abc import Sequence

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


_CONVOLUTIONS: dict[int, type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d]] = {
    1: nn.Conv1d,
    2: nn.Conv2d,
    3: nn.Conv3d,
}
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def dense_head(features: torch.Size, outputs: int, image: Sequence[int] | None) -> nn.Module:
    """Return a 1x1 convolution and, where the features have another size than the image, linear interpolation.

    Args:
        features: `[C, *spatial]` with up to three spatial dimensions.
        outputs: Channels of the result.
        image: `[C, *spatial]`, of as many dimensions.

    Raises:
        WrongFieldError: If there are no spatial dimensions, or not as many as the image has.
    """
    spatial = spatial_of(image)
    if len(features) != len(spatial) + 1 or len(spatial) not in _CONVOLUTIONS:
        rule = f"a backbone's map [C, *spatial] of images of size {list(spatial)} is needed"
        raise WrongFieldError("head", rule, tuple(features))
    convolution = _CONVOLUTIONS[len(spatial)](features[0], outputs, 1)
    if tuple(features[1:]) == spatial:
        return convolution
    enlarge = nn.Upsample(size=spatial, mode=_LINEAR[len(spatial)], align_corners=False)
    return nn.Sequential(convolution, enlarge)


def spatial_of(image: Sequence[int] | None) -> tuple[int, ...]:
    """Return the spatial shape of images `[C, *spatial]`.

    Args:
        image: Without the batch.

    Raises:
        WrongFieldError: If it is not known or has none.
    """
    if image is None or len(image) < 2:
        rule = "a dense task needs images [C, *spatial]"
        raise WrongFieldError("head", rule, None if image is None else tuple(image))
    return tuple(image[1:])
