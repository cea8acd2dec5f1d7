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
        chosen = draws.to(torch.bool).view(-1, *[1] * (images.dim() - 1))
        return torch.where(chosen, images.flip(-1), images)


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
        for axis in range(2, images.dim()):
            side = images.shape[axis]
            places = torch.arange(side, device=images.device) + draws[:, axis - 2, None]
            # Reflection without repeating the border pixel: -1 -> 1 and side -> side - 2.
            places = (side - 1) - (places.abs() - (side - 1)).abs()
            shape = [len(images)] + [1] * (images.dim() - 1)
            shape[axis] = side
            images = images.gather(axis, places.view(shape).expand_as(images))
        return images


AUGMENTATIONS: dict[str, Augmentation] = {"flip": Flip(), "crop": Crop()}
"""Augmentations by the name that a study file gives them."""
