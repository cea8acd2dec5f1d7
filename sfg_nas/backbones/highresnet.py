"""HighResNet: residual blocks of dilated convolutions that keep the image's resolution, in two or three dimensions.

Li, Wang, Fidon, Ourselin, Cardoso & Vercauteren, On the Compactness, Efficiency, and Representation of 3D Convolutional
Networks (IPMI 2017), figure 1: a 3x3 stem of 16 filters, then three times three pre-activated blocks of 16, 32 and 64
filters with dilation 1, 2 and 4; where filters double, the shortcut is padded with zeros. It is the backbone of the
second problem of Bragman et al. 2019. Ours: a width factor, a choice of depth, and no 1x1 layer of 80 filters before
the heads.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import pad, relu

from sfg_nas.backbones.blocks import NORMS, check_dimensions, convolution
from sfg_nas.backbones.sizes import check_sizes, kept, scaled

FILTERS = (16, 32, 64)
"""Filters of each stage at width 1."""
DILATIONS = (1, 2, 4)
BLOCKS = (3, 3, 3)


class HighResBlock(nn.Module):
    """Twice norm, ReLU and a dilated convolution, and a shortcut around them.

    Args:
        dimensions: 2 or 3.
        in_channels: Channels of the input.
        filters: Channels of the output, at least as many.
        dilation: Of both convolutions.
    """

    def __init__(self, dimensions: int, in_channels: int, filters: int, dilation: int) -> None:
        super().__init__()
        self.norm1 = NORMS[dimensions](in_channels)
        self.conv1 = convolution(dimensions, in_channels, filters, dilation=dilation)
        self.norm2 = NORMS[dimensions](filters)
        self.conv2 = convolution(dimensions, filters, filters, dilation=dilation)
        self.padding = (*(0, 0) * dimensions, 0, filters - in_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, filters, *spatial] of [N, in_channels, *spatial]."""
        hidden = self.conv1(relu(self.norm1(features)))
        hidden = self.conv2(relu(self.norm2(hidden)))
        shortcut = pad(features, self.padding) if self.padding[-1] else features
        summed: Tensor = hidden + shortcut
        return summed


class HighResNet(nn.Module):
    """A HighResNet without its classifier.

    Args:
        in_channels: C of the images.
        width: Factor on `FILTERS`.
        depth: Residual blocks kept, counted from the image, or None for all nine.
        image_size: Checked only: nothing shrinks.
        dimensions: Of the images, 2 or 3.

    Raises:
        ConfigError: If a number is out of its range.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        width: float = 1.0,
        depth: int | None = None,
        image_size: int | None = None,
        dimensions: int = 2,
    ) -> None:
        super().__init__()
        check_sizes(
            in_channels=in_channels,
            width=width,
            depth=depth,
            deepest=sum(BLOCKS),
            image_size=image_size,
        )
        check_dimensions(dimensions)
        channels = scaled(FILTERS[0], width)
        self.stem = convolution(dimensions, in_channels, channels)
        blocks = []
        for stage, count in enumerate(kept(BLOCKS, depth)):
            filters = max(scaled(FILTERS[stage], width), channels)
            for _ in range(count):
                blocks.append(HighResBlock(dimensions, channels, filters, DILATIONS[stage]))
                channels = filters
        self.blocks = nn.Sequential(*blocks)
        self.norm = NORMS[dimensions](channels)

    def forward(self, images: Tensor) -> Tensor:
        """Return the feature map [N, F, *spatial] of images [N, C, *spatial]."""
        return relu(self.norm(self.blocks(self.stem(images))))


def highresnet(
    *,
    in_channels: int = 3,
    width: float = 1.0,
    depth: int | None = None,
    image_size: int | None = None,
    dimensions: int = 2,
) -> HighResNet:
    """Return a HighResNet of 9 dilated residual blocks that keeps the resolution, 2-D or 3-D; see `HighResNet`."""
    return HighResNet(
        in_channels=in_channels,
        width=width,
        depth=depth,
        image_size=image_size,
        dimensions=dimensions,
    )
