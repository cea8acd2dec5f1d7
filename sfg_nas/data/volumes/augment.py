"""Random changes of patches and of the maps that belong to them, together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Maps = dict[str, Tensor]
Draw = NDArray[np.float32]
Change = Callable[[Tensor, Maps, Tensor], tuple[Tensor, Maps]]

DRAWS = 16
"""Random numbers in [0, 1) that each augmentation gets for each patch."""
_TURN, _ZOOM = 10.0, 0.1
_GAIN, _OFFSET, _BIAS = 0.1, 0.1, 0.15


def flip(images: Tensor, maps: Maps, draws: Tensor) -> tuple[Tensor, Maps]:
    """Mirror left and right with probability one half.

    Args:
        images: `[B, C, X, ...]`.
        maps: Targets `[B, ..., X, ...]` with as many trailing axes.
        draws: `[B, DRAWS]`.
    """
    chosen = draws[:, 0] < 0.5

    def mirrored(values: Tensor) -> Tensor:
        axis = values.dim() - (images.dim() - 2)
        shape = (-1, *[1] * (values.dim() - 1))
        return torch.where(chosen.view(shape), values.flip(axis), values)

    return mirrored(images), {name: mirrored(values) for name, values in maps.items()}


def affine(images: Tensor, maps: Maps, draws: Tensor) -> tuple[Tensor, Maps]:
    """Turn by up to 10 degrees about the axis through head and feet, and scale by up to a tenth.

    What comes from beyond the patch repeats its border in the images and is missing in the maps.

    Args:
        images: `[B, C, X, Y]` or `[B, C, X, Y, Z]`.
        maps: Targets `[B, X, Y(, Z)]` or `[B, K, X, Y(, Z)]`.
        draws: `[B, DRAWS]`.
    """
    spatial = images.shape[2:]
    angle = (2 * draws[:, 0] - 1) * math.radians(_TURN)
    zoom = 1 + (2 * draws[:, 1] - 1) * _ZOOM
    count = len(spatial)
    matrix = torch.zeros(len(images), count, count + 1, device=images.device)
    ratio = spatial[0] / spatial[1]
    # `affine_grid` counts axes from the last: x and y of the patch are its last two coordinates.
    matrix[:, -1, -2] = matrix[:, -2, -3] = zoom * angle.cos()
    matrix[:, -1, -3] = -zoom * angle.sin() / ratio
    matrix[:, -2, -2] = zoom * angle.sin() * ratio
    if count == 3:
        matrix[:, 0, 0] = 1
    grid = functional.affine_grid(matrix, [len(images), 1, *spatial], align_corners=False)
    beyond = (grid.abs() > 1).any(-1)
    moved = functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return moved, {name: _nearest(values, grid, beyond) for name, values in maps.items()}


def _nearest(values: Tensor, grid: Tensor, beyond: Tensor) -> Tensor:
    """Return a map at the places of a grid; NaN or -1 beyond the border."""
    spatial = grid.dim() - 2
    flat = (
        values.flatten(1, values.dim() - spatial - 1)
        if values.dim() > spatial + 1
        else values[:, None]
    )
    missing = math.nan if values.is_floating_point() else -1
    marker = -(2.0**30)  # interpolation would spread NaN, and sampling is of floats only
    found = functional.grid_sample(
        flat.double().nan_to_num(marker), grid.double(), mode="nearest", align_corners=False
    )
    gone = beyond[:, None] | (found == marker)
    return torch.where(gone, missing, found).to(values.dtype).view(values.shape)


def intensity(images: Tensor, maps: Maps, draws: Tensor) -> tuple[Tensor, Maps]:
    """Change contrast, brightness and a smooth field of the images, as another scan of the same body would.

    Args:
        images: `[B, C, *spatial]`, of standard deviation 1.
        maps: Left as they are.
        draws: `[B, DRAWS]`.
    """
    spatial = images.shape[2:]
    shape = (-1, *[1] * (images.dim() - 1))
    gain = 1 + _GAIN * (2 * draws[:, 0] - 1)
    offset = _OFFSET * (2 * draws[:, 1] - 1)
    corners = draws[:, 2 : 2 + 2 ** len(spatial)].reshape(-1, 1, *[2] * len(spatial))
    mode = "trilinear" if len(spatial) == 3 else "bilinear"
    field = functional.interpolate(corners, size=tuple(spatial), mode=mode, align_corners=True)
    bias = 1 + _BIAS * (2 * field - 1)
    return images * gain.view(shape) * bias + offset.view(shape), maps


VOLUME_AUGMENTATIONS: Mapping[str, Change] = {
    "flip": flip,
    "affine": affine,
    "intensity": intensity,
}
"""Augmentations of patches by the name that a study file gives them."""
