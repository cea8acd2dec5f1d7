"""Vectorised augmentations: everything random in an epoch is drawn before its first batch."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Augmentation(Protocol):
    """A random change of a whole batch of images, split into its draws and its effect."""

    def draw(
        self, rng: np.random.Generator, count: int, size: tuple[int, ...]
    ) -> NDArray[np.int64]:
        """Return `count` rows of random integers `[count, k]` for images of spatial size `size`."""
        ...

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return changed images `[B, C, *spatial]`, of the same shape, for draws `[B, k]`."""
        ...


class Flip:
    """Mirror left and right with probability one half."""

    def draw(
        self, rng: np.random.Generator, count: int, size: tuple[int, ...]
    ) -> NDArray[np.int64]:
        """Return `[count, 1]`: 1 where the image is mirrored."""
        del size
        return rng.integers(0, 2, size=(count, 1), dtype=np.int64)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return the images `[B, C, *spatial]`, some of them with the last axis reversed."""
        both = torch.cat([images, images.flip(-1)])
        # Choosing whole images is several times faster than `torch.where` on bytes.
        return both[torch.arange(len(images), device=images.device) + len(images) * draws[:, 0]]


class Crop:
    """Shift by up to an eighth of each side, the border reflected.

    The same as padding by reflection and cropping at a random place.
    """

    def draw(
        self, rng: np.random.Generator, count: int, size: tuple[int, ...]
    ) -> NDArray[np.int64]:
        """Return `[count, len(size)]`: the shift along each spatial axis in pixels."""
        reach = np.array([side // 8 for side in size], dtype=np.int64)
        return rng.integers(-reach, reach + 1, size=(count, len(size)), dtype=np.int64)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return the images `[B, C, *spatial]`, each shifted by its own row of `draws`."""
        count, channels, *size = images.shape
        pixels = torch.zeros(count, 1, dtype=torch.int64, device=images.device)
        for axis, side in enumerate(size):
            places = torch.arange(side, device=images.device) + draws[:, axis, None]
            # Reflection without repeating the border pixel: -1 -> 1 and side -> side - 2.
            places = (side - 1) - (places.abs() - (side - 1)).abs()
            pixels = (pixels.unsqueeze(2) * side + places.unsqueeze(1)).flatten(1)
        chosen = pixels.unsqueeze(1).expand(-1, channels, -1)
        return images.flatten(2).gather(2, chosen).view_as(images)


AUGMENTATIONS: dict[str, Augmentation] = {"flip": Flip(), "crop": Crop()}
"""Augmentations by the name that a study file gives them."""
