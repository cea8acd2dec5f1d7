"""Augmentations that move pixels; what lies on the pixels moves with them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Draws = NDArray[np.int64]
_REACH = 8
"""A crop shifts by up to this part of each side."""
_DEGREES = 15
"""The largest rotation."""


class Augmentation(ABC):
    """A random change of a whole batch of images, split into its draws and its effect.

    Attributes:
        axes: Spatial axes that images need at least.
        channels: Channels that images need at least.
        turns: Whether directions in the image turn, other than by mirroring.
    """

    axes: int = 1
    channels: int = 1
    turns: bool = False

    @abstractmethod
    def draw(self, rng: np.random.Generator, count: int, size: tuple[int, ...]) -> Draws:
        """Return `count` rows of random integers `[count, k]` for images of spatial size `size`."""

    @abstractmethod
    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return changed images `[B, C, *spatial]`, of the same shape and type, for draws `[B, k]`."""

    def move(self, maps: Tensor, draws: Tensor, missing: float) -> Tensor:
        """Return labels `[B, C, *spatial]` where their pixels went, none of them mixed with another.

        Args:
            maps: Before.
            draws: Those of the images, `[B, k]`.
            missing: What stands where no label is known.
        """
        del draws, missing
        return maps

    def signs(self, draws: Tensor, size: tuple[int, ...]) -> Tensor | None:
        """Return what directions along the axes are multiplied by, `[B, axes, *spatial or 1]`, the last axis first.

        Args:
            draws: Of the images, `[B, k]`.
            size: Of the images.

        Returns:
            1 and -1, or None if nothing is mirrored.
        """
        del draws, size
        return None


class Flip(Augmentation):
    """Mirror one axis with probability one half.

    Args:
        axis: -1 for left and right, -2 for up and down.
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis
        self.axes = -axis

    def draw(self, rng: np.random.Generator, count: int, size: tuple[int, ...]) -> Draws:
        """Return `[count, 1]`: 1 where the image is mirrored."""
        del size
        return rng.integers(0, 2, size=(count, 1), dtype=np.int64)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return the images `[B, C, *spatial]`, some of them with the axis reversed."""
        both = torch.cat([images, images.flip(self.axis)])
        # Choosing whole images is several times faster than `torch.where` on bytes.
        return both[torch.arange(len(images), device=images.device) + len(images) * draws[:, 0]]

    def move(self, maps: Tensor, draws: Tensor, missing: float) -> Tensor:
        """Return the labels, mirrored as the images."""
        del missing
        return self.apply(maps, draws)

    def signs(self, draws: Tensor, size: tuple[int, ...]) -> Tensor:
        """Return -1 for the axis of the images that are mirrored."""
        signs = torch.ones(len(draws), len(size), device=draws.device)
        signs[:, -1 - self.axis] -= 2 * draws[:, 0]
        return signs.view(*signs.shape, *[1] * len(size))


class Crop(Augmentation):
    """Shift by up to an eighth of each side, the border reflected.

    The same as padding by reflection and cropping at a random place.
    """

    def draw(self, rng: np.random.Generator, count: int, size: tuple[int, ...]) -> Draws:
        """Return `[count, len(size)]`: the shift along each spatial axis in pixels."""
        reach = np.array([side // _REACH for side in size], dtype=np.int64)
        return rng.integers(-reach, reach + 1, size=(count, len(size)), dtype=np.int64)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return the images `[B, C, *spatial]`, each shifted by its own row of `draws`."""
        count, _, *size = images.shape
        pixels = torch.zeros(count, 1, dtype=torch.int64, device=images.device)
        for axis, side in enumerate(size):
            places = torch.arange(side, device=images.device) + draws[:, axis, None]
            # Reflection without repeating the border pixel: -1 -> 1 and side -> side - 2.
            places = (side - 1) - (places.abs() - (side - 1)).abs()
            pixels = (pixels.unsqueeze(2) * side + places.unsqueeze(1)).flatten(1)
        return _taken(images, pixels)

    def move(self, maps: Tensor, draws: Tensor, missing: float) -> Tensor:
        """Return the labels, shifted and reflected as the images."""
        del missing
        return self.apply(maps, draws)

    def signs(self, draws: Tensor, size: tuple[int, ...]) -> Tensor:
        """Return -1 for an axis where the border is reflected along it."""
        signs = []
        for axis in reversed(range(len(size))):
            places = torch.arange(size[axis], device=draws.device) + draws[:, axis, None]
            outside = (places < 0) | (places >= size[axis])
            shape = [len(draws), *[1] * len(size)]
            shape[axis + 1] = size[axis]
            signs.append((1.0 - 2.0 * outside).view(shape).expand(-1, *size))
        return torch.stack(signs, dim=1)


class Rotate(Augmentation):
    """Turn about the middle by up to 15 degrees; beyond the border the image is reflected, and labels are missing."""

    axes = 2
    turns = True

    def draw(self, rng: np.random.Generator, count: int, size: tuple[int, ...]) -> Draws:
        """Return `[count, 1]`: the angle in hundredths of a degree."""
        del size
        return rng.integers(-100 * _DEGREES, 100 * _DEGREES + 1, size=(count, 1), dtype=np.int64)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return the images `[B, C, *spatial]`, turned in their last two axes, with linear interpolation."""
        height, width = images.shape[-2:]
        rows, columns = _sources(draws, height, width)
        grid = torch.stack([2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1], dim=-1)
        flat = images.flatten(1, -3).float()
        turned = functional.grid_sample(
            flat, grid, mode="bilinear", padding_mode="reflection", align_corners=True
        )
        return as_pixels(turned.view(images.shape), images)

    def move(self, maps: Tensor, draws: Tensor, missing: float) -> Tensor:
        """Return the labels, each from the nearest pixel."""
        height, width = maps.shape[-2:]
        rows, columns = (source.round().long() for source in _sources(draws, height, width))
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        pixels = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
        flat = maps.flatten(1, -3)
        taken = _taken(flat, pixels.flatten(1))
        return taken.masked_fill(~inside.unsqueeze(1), missing).view(maps.shape)


class QuarterTurns(Augmentation):
    """Turn by 0, 90, 180 or 270 degrees; images that are not square by 0 or 180."""

    axes = 2
    turns = True

    def draw(self, rng: np.random.Generator, count: int, size: tuple[int, ...]) -> Draws:
        """Return `[count, 1]`: the number of quarter turns."""
        step = 1 if size[-1] == size[-2] else 2
        return rng.integers(0, 4 // step, size=(count, 1), dtype=np.int64) * step

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return the images `[B, C, *spatial]`, turned in their last two axes."""
        turned = images.clone()
        for quarters in (1, 2, 3):
            chosen = draws[:, 0] == quarters
            if bool(chosen.any()):
                turned[chosen] = images[chosen].rot90(quarters, (-2, -1))
        return turned

    def move(self, maps: Tensor, draws: Tensor, missing: float) -> Tensor:
        """Return the labels, turned as the images."""
        del missing
        return self.apply(maps, draws)


def as_pixels(values: Tensor, images: Tensor) -> Tensor:
    """Return changed pixels in the type of the images; bytes are rounded and stay from 0 to 255.

    Args:
        values: Floating numbers, in the units of the images.
        images: Of the wanted type.
    """
    if images.dtype.is_floating_point:
        return values.to(images.dtype)
    return values.round().clamp(0, 255).to(images.dtype)


def _sources(draws: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the row and column that each pixel of turned images comes from, both `[B, H, W]`."""
    angle = (draws[:, 0].float() * (math.pi / 18000)).view(-1, 1, 1)
    middle = (height - 1) / 2, (width - 1) / 2
    rows = (torch.arange(height, device=draws.device) - middle[0]).view(1, -1, 1)
    columns = (torch.arange(width, device=draws.device) - middle[1]).view(1, 1, -1)
    return (
        rows * angle.cos() + columns * angle.sin() + middle[0],
        columns * angle.cos() - rows * angle.sin() + middle[1],
    )


def _taken(images: Tensor, pixels: Tensor) -> Tensor:
    """Return images `[B, C, *spatial]` made of the pixels at places `[B, H * W * ...]`."""
    chosen = pixels.unsqueeze(1).expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, chosen).view_as(images)
