"""Plain torch networks that turn images [N, C, H, W] into a feature map [N, F, h, w].

`BACKBONES` is all there is by name; from Python any other `nn.Module` will do. None of them knows
of tasks or groups.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType

from torch import nn

from sfg_nas.backbones.highresnet import highresnet
from sfg_nas.backbones.resnet import resnet10, resnet18
from sfg_nas.backbones.unet import unet
from sfg_nas.backbones.vgg import vgg11, vgg13, vgg16
from sfg_nas.backbones.vision import FAMILY, vision_backbone, vision_names
from sfg_nas.errors import ConfigError, explain

__all__ = ["BACKBONES", "FAMILY", "build_backbone", "vision_names"]

BACKBONES: MappingProxyType[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "vgg11": vgg11,
        "vgg13": vgg13,
        "vgg16": vgg16,
        "resnet10": resnet10,
        "resnet18": resnet18,
        "highresnet": highresnet,
        "unet": unet,
    }
)
"""Name -> function (*, in_channels, width, depth, image_size) -> module.

Those that also take `dimensions` can be built for volumes.
"""


def build_backbone(
    kind: str,
    *,
    in_channels: int = 3,
    width: float = 1.0,
    depth: int | None = None,
    image_size: int | None = None,
    dimensions: int = 2,
) -> nn.Module:
    """Build a backbone with new weights from torch's global random stream.

    Args:
        kind: A name of `BACKBONES`, or `torchvision/NAME` with the extra `vision`.
        in_channels: C of the images.
        width: Factor on the number of filters of each layer.
        depth: How many convolutions (VGG), residual blocks (ResNet, HighResNet) or levels (U-Net) to
            keep, counted from the image; None keeps all.
        image_size: The shorter side of the images in pixels. Layers that would shrink the feature
            map below 2 pixels then keep its size; None shrinks as published.
        dimensions: Spatial dimensions of the images, 2 or 3.

    Returns:
        A module from [N, in_channels, *spatial] to [N, F, *spatial].

    Raises:
        ConfigError: If the kind is unknown or a number is out of its range.
    """
    if kind.startswith(FAMILY):
        return vision_backbone(kind, in_channels=in_channels, width=width, depth=depth)
    if kind not in BACKBONES:
        close = get_close_matches(kind, BACKBONES, n=1)
        raise ConfigError(
            explain(
                where="backbone.kind",
                rule=f"must be one of {', '.join(BACKBONES)}",
                found=f"`{kind}`",
                do=f"did you mean `{close[0]}`?" if close else "name one of them",
            )
        )
    build = partial(
        BACKBONES[kind], in_channels=in_channels, width=width, depth=depth, image_size=image_size
    )
    if dimensions == 2:
        return build()
    volumetric = [name for name, make in BACKBONES.items() if _takes_dimensions(make)]
    if kind not in volumetric:
        raise ConfigError(
            explain(
                where="backbone.kind",
                rule=f"images of {dimensions} dimensions need one of {', '.join(volumetric)}",
                found=f"`{kind}`",
                do="name one of them, or use patches of two dimensions",
            )
        )
    return build(dimensions=dimensions)


def _takes_dimensions(make: Callable[..., nn.Module]) -> bool:
    return "dimensions" in inspect.signature(make).parameters
