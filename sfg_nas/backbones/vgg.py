"""VGG with batch norm: stages of 3x3 convolutions, each closed by a max-pool.

Simonyan & Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition (ICLR 2015),
table 1, configurations A, B and D. Ours: batch norm after each convolution (so the convolutions
have no bias), no fully connected layers, a width factor, and poolings that stop at small maps.
"""

from __future__ import annotations

from torch import Tensor, nn

from sfg_nas.backbones.sizes import SMALLEST_SIDE, check_sizes, kept, scaled

FILTERS = (64, 128, 256, 512, 512)
"""Filters of each stage at width 1."""


class VGG(nn.Module):
    """A VGG without its classifier.

    Args:
        convolutions: How many convolutions each of the five stages has.
        in_channels: C of the images.
        width: Factor on `FILTERS`.
        depth: Convolutions kept, counted from the image, or None for all. A stage that is cut
            short has no pooling.
        image_size: The shorter side of the images in pixels. A pooling that would leave fewer
            than 2 pixels is left out; None keeps all five.

    Raises:
        ConfigError: If a number is out of its range.
    """

    def __init__(
        self,
        convolutions: tuple[int, ...],
        *,
        in_channels: int = 3,
        width: float = 1.0,
        depth: int | None = None,
        image_size: int | None = None,
    ) -> None:
        super().__init__()
        check_sizes(
            in_channels=in_channels,
            width=width,
            depth=depth,
            deepest=sum(convolutions),
            image_size=image_size,
        )
        layers: list[nn.Module] = []
        channels, side = in_channels, image_size
        for stage, count in enumerate(kept(convolutions, depth)):
            filters = scaled(FILTERS[stage], width)
            for _ in range(count):
                layers += [
                    nn.Conv2d(channels, filters, kernel_size=3, padding=1, bias=False),
                    nn.BatchNorm2d(filters),
                    nn.ReLU(),
                ]
                channels = filters
            complete = count == convolutions[stage]
            if complete and (side is None or side // 2 >= SMALLEST_SIDE):
                layers.append(nn.MaxPool2d(kernel_size=2))
                side = None if side is None else side // 2
        self.features = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Return the feature map [N, F, h, w] of images [N, C, H, W]."""
        features: Tensor = self.features(images)
        return features


def vgg11(
    *,
    in_channels: int = 3,
    width: float = 1.0,
    depth: int | None = None,
    image_size: int | None = None,
) -> VGG:
    """Return configuration A (8 convolutions) with batch norm; see `VGG` for the arguments."""
    return VGG(
        (1, 1, 2, 2, 2), in_channels=in_channels, width=width, depth=depth, image_size=image_size
    )


def vgg13(
    *,
    in_channels: int = 3,
    width: float = 1.0,
    depth: int | None = None,
    image_size: int | None = None,
) -> VGG:
    """Return configuration B (10 convolutions) with batch norm; see `VGG` for the arguments."""
    return VGG(
        (2, 2, 2, 2, 2), in_channels=in_channels, width=width, depth=depth, image_size=image_size
    )


def vgg16(
    *,
    in_channels: int = 3,
    width: float = 1.0,
    depth: int | None = None,
    image_size: int | None = None,
) -> VGG:
    """Return configuration D (13 convolutions) with batch norm; see `VGG` for the arguments."""
    return VGG(
        (2, 2, 3, 3, 3), in_channels=in_channels, width=width, depth=depth, image_size=image_size
    )
