"""Residual networks for small images: a 3x3 stem without pooling, then stages of basic blocks.

He, Zhang, Ren & Sun, Deep Residual Learning for Image Recognition (CVPR 2016), table 1 (18 layers),
with the 3x3 stem of its section 4.2 on CIFAR-10. Shortcuts that change shape are 1x1 convolutions
(option B). Ours: a width factor, a choice of depth, strides that stop at small maps, and ResNet-10
(one block per stage).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

from sfg_nas.backbones.sizes import SMALLEST_SIDE, check_sizes, kept, scaled

FILTERS = (64, 128, 256, 512)
"""Filters of each stage at width 1."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut around them.

    The filters of `conv2` and of the shortcut meet in the addition, so they share one assignment
    to groups.

    Args:
        in_channels: Channels of the input.
        filters: Channels of the output.
        stride: Stride of the first convolution and of the shortcut.
    """

    def __init__(self, in_channels: int, filters: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, filters, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != filters:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, filters, 1, stride=stride, bias=False),
                nn.BatchNorm2d(filters),
            )

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, filters, h / stride, w / stride] of [N, in_channels, h, w]."""
        hidden = relu(self.norm1(self.conv1(features)))
        return relu(self.norm2(self.conv2(hidden)) + self.shortcut(features))


class ResNet(nn.Module):
    """A residual network without its classifier.

    Args:
        blocks: How many blocks each of the four stages has.
        in_channels: C of the images.
        width: Factor on `FILTERS`.
        depth: Blocks kept, counted from the image, or None for all.
        image_size: The shorter side of the images in pixels. A stage that would leave fewer than
            2 pixels keeps the size; None shrinks as published.

    Raises:
        ConfigError: If a number is out of its range.
    """

    def __init__(
        self,
        blocks: tuple[int, ...],
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
            deepest=sum(blocks),
            image_size=image_size,
        )
        channels, side = scaled(FILTERS[0], width), image_size
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        layers = []
        for stage, count in enumerate(kept(blocks, depth)):
            filters = scaled(FILTERS[stage], width)
            shrink = stage > 0 and (side is None or (side + 1) // 2 >= SMALLEST_SIDE)
            for block in range(count):
                stride = 2 if shrink and block == 0 else 1
                layers.append(BasicBlock(channels, filters, stride=stride))
                channels = filters
            if shrink and side is not None:
                side = (side + 1) // 2
        self.blocks = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Return the feature map [N, F, h, w] of images [N, C, H, W]."""
        features: Tensor = self.blocks(self.stem(images))
        return features


def resnet10(
    *,
    in_channels: int = 3,
    width: float = 1.0,
    depth: int | None = None,
    image_size: int | None = None,
) -> ResNet:
    """Return a ResNet of 4 blocks; see `ResNet` for the arguments."""
    return ResNet(
        (1, 1, 1, 1), in_channels=in_channels, width=width, depth=depth, image_size=image_size
    )


def resnet18(
    *,
    in_channels: int = 3,
    width: float = 1.0,
    depth: int | None = None,
    image_size: int | None = None,
) -> ResNet:
    """Return a ResNet of 8 blocks; see `ResNet` for the arguments."""
    return ResNet(
        (2, 2, 2, 2), in_channels=in_channels, width=width, depth=depth, image_size=image_size
    )
