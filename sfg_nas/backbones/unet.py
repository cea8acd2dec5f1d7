"""U-Net: down to a coarse map and back up beside it, in two or three dimensions.

Ronneberger, Fischer & Brox, U-Net: Convolutional Networks for Biomedical Image Segmentation (MICCAI 2015), figure 1, and
Cicek et al., 3D U-Net (MICCAI 2016). Ours: batch norm, convolutions that keep the size, enlargement to the size of the
skipped map by its nearest neighbour in place of up-convolutions (so any size fits), a width factor, a choice of depth,
and poolings that stop at small maps.
"""

from __future__ import annotations

from torch import Tensor, cat, nn
from torch.nn.functional import interpolate

from sfg_nas.backbones.blocks import NORMS, POOLS, check_dimensions, convolution
from sfg_nas.backbones.sizes import SMALLEST_SIDE, check_sizes, scaled

FILTERS = (64, 128, 256, 512, 1024)
"""Filters of each level at width 1."""


def _twice(dimensions: int, in_channels: int, filters: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, filters):
        layers += [
            convolution(dimensions, channels, filters),
            NORMS[dimensions](filters),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """A U-Net without its classifier.

    Args:
        in_channels: C of the images.
        width: Factor on `FILTERS`.
        depth: Levels kept, counted from the image, or None for all five.
        image_size: The shorter side of the images in pixels. A pooling that would leave fewer than
            2 pixels is left out; None keeps all four.
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
            deepest=len(FILTERS),
            image_size=image_size,
        )
        check_dimensions(dimensions)
        filters = [scaled(number, width) for number in FILTERS[:depth]]
        self.down, self.pools = nn.ModuleList(), nn.ModuleList()
        self.up, self.beside = nn.ModuleList(), nn.ModuleList()
        channels, side = in_channels, image_size
        for level, number in enumerate(filters):
            self.down.append(_twice(dimensions, channels, number))
            channels = number
            if level == len(filters) - 1:
                break
            shrink = side is None or side // 2 >= SMALLEST_SIDE
            self.pools.append(POOLS[dimensions](2) if shrink else nn.Identity())
            side = side // 2 if side is not None and shrink else side
        for number in reversed(filters[:-1]):
            self.up.append(convolution(dimensions, channels, number))
            self.beside.append(_twice(dimensions, 2 * number, number))
            channels = number

    def forward(self, images: Tensor) -> Tensor:
        """Return the feature map [N, F, *spatial] of images [N, C, *spatial]."""
        features = self.down[0](images)
        skipped = []
        for pool, block in zip(self.pools, self.down[1:], strict=True):
            skipped.append(features)
            features = block(pool(features))
        for up, block, skip in zip(self.up, self.beside, reversed(skipped), strict=True):
            enlarged = interpolate(features, size=skip.shape[2:], mode="nearest")
            features = block(cat([up(enlarged), skip], dim=1))
        found: Tensor = features
        return found


def unet(
    *,
    in_channels: int = 3,
    width: float = 1.0,
    depth: int | None = None,
    image_size: int | None = None,
    dimensions: int = 2,
) -> UNet:
    """Return a U-Net of 5 levels that gives a map of the image's size, 2-D or 3-D; see `UNet`."""
    return UNet(
        in_channels=in_channels,
        width=width,
        depth=depth,
        image_size=image_size,
        dimensions=dimensions,
    )
