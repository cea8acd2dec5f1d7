"""Layers for images of two or three dimensions."""

from __future__ import annotations

from torch import nn

from sfg_nas.errors import ConfigError, explain

CONVOLUTIONS: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
NORMS: dict[int, type[nn.BatchNorm2d] | type[nn.BatchNorm3d]] = {
    2: nn.BatchNorm2d,
    3: nn.BatchNorm3d,
}
POOLS: dict[int, type[nn.MaxPool2d] | type[nn.MaxPool3d]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


def check_dimensions(dimensions: int) -> int:
    """Return the number of spatial dimensions if there are layers for it.

    Args:
        dimensions: 2 or 3.

    Raises:
        ConfigError: If it is another number.
    """
    if dimensions not in CONVOLUTIONS:
        raise ConfigError(
            explain(
                where="backbone: dimensions",
                rule="images of 2 or 3 dimensions are needed",
                found=str(dimensions),
                do="give images [C, H, W] or [C, D, H, W]",
            )
        )
    return dimensions


def convolution(
    dimensions: int, in_channels: int, filters: int, *, size: int = 3, dilation: int = 1
) -> nn.Module:
    """Return a convolution without bias that keeps the resolution.

    Args:
        dimensions: 2 or 3.
        in_channels: Channels of the input.
        filters: Channels of the output.
        size: Of the kernel along each axis, odd.
        dilation: Pixels from one tap of the kernel to the next.
    """
    return CONVOLUTIONS[dimensions](
        in_channels,
        filters,
        size,
        padding=dilation * (size // 2),
        dilation=dilation,
        bias=False,
    )
