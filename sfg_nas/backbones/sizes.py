"""Checks and sizes that every backbone shares."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sfg_nas.errors import ConfigError, explain

SMALLEST_SIDE = 2
"""A feature map is not shrunk below this many pixels: a 3x3 filter on one pixel sees only padding."""


def check_sizes(
    *, in_channels: int, width: float, depth: int | None, deepest: int, image_size: int | None
) -> None:
    """Check the numbers that describe a backbone.

    Args:
        in_channels: C of the images, at least 1.
        width: Factor on the filters, above 0 and finite.
        depth: Layers kept, from 1 to `deepest`, or None.
        deepest: How many layers there are.
        image_size: The shorter side of the images in pixels, at least 1, or None.

    Raises:
        ConfigError: If one of them is out of its range.
    """
    if in_channels < 1:
        raise _wrong(
            "in_channels", "at least 1 must hold", in_channels, "give the images' channels"
        )
    if not (width > 0 and math.isfinite(width)):
        raise _wrong("width", "a finite number above 0 must stand here", width, "try 0.25 or 1.0")
    if depth is not None and not 1 <= depth <= deepest:
        raise _wrong(
            "depth",
            f"1 <= depth <= {deepest} must hold",
            depth,
            "choose one, or null for all layers",
        )
    if image_size is not None and image_size < 1:
        raise _wrong("image_size", "at least 1 pixel must hold", image_size, "give it in pixels")


def scaled(filters: int, width: float) -> int:
    """Return the number of filters at a width: rounded, and never none."""
    return max(1, round(filters * width))


def kept(stages: Sequence[int], depth: int | None) -> list[int]:
    """Return how many layers of each stage stay when the first `depth` layers are kept.

    Args:
        stages: Layers per stage.
        depth: Layers kept, or None for all.

    Example:
        >>> kept([1, 1, 2, 2, 2], 3)
        [1, 1, 1]
    """
    left = sum(stages) if depth is None else depth
    counts = []
    for layers in stages:
        if left <= 0:
            break
        counts.append(min(layers, left))
        left -= layers
    return counts


def _wrong(key: str, rule: str, found: float, do: str) -> ConfigError:
    return ConfigError(explain(where=f"backbone.{key}", rule=rule, found=str(found), do=do))
