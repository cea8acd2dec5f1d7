"""Augmentations that change what pixels look like, and leave them where they are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sfg_nas.data.augment_moves import Augmentation, Draws, as_pixels

_GAIN = 250
"""Brightness, contrast and the share of each colour change by up to so many thousandths."""
_NOISE = 0.1
"""Standard deviation of the noise, as a part of that of the image's pixels."""
_BLUR = (0.25, 0.5, 0.25)
_ERASED = (4, 2)
"""The sides of what is erased are at least a fourth and at most half of the image's."""


class _Gain(Augmentation):
    """A change by one factor for each image, from 0.75 to 1.25."""

    def draw(self, rng: np.random.Generator, count: int, size: tuple[int, ...]) -> Draws:
        """Return `[count, 1]`: the change in thousandths."""
        del size
        return rng.integers(-_GAIN, _GAIN + 1, size=(count, 1), dtype=np.int64)


class Brightness(_Gain):
    """Multiply all pixels by a factor from 0.75 to 1.25."""

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return the images `[B, C, *spatial]`, brighter or darker."""
        return as_pixels(images.float() * _factors(draws, images), images)


class Contrast(_Gain):
    """Multiply the distance of all pixels from the image's mean by a factor from 0.75 to 1.25."""

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return the images `[B, C, *spatial]`, with more or less contrast."""
        values = images.float()
        mean = values.mean(dim=tuple(range(1, images.dim())), keepdim=True)
        return as_pixels(mean + (values - mean) * _factors(draws, images), images)


class Colour(Augmentation):
    """Multiply each channel, and the distance from grey, by factors of their own from 0.75 to 1.25."""

    channels = 3

    def draw(self, rng: np.random.Generator, count: int, size: tuple[int, ...]) -> Draws:
        """Return `[count, 4]`: the changes of saturation and of three channels in thousandths."""
        del size
        return rng.integers(-_GAIN, _GAIN + 1, size=(count, 4), dtype=np.int64)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return the images `[B, C, *spatial]`; channels after the third stay as they are."""
        values = images[:, :3].float()
        grey = values.mean(dim=1, keepdim=True)
        gains = (1 + draws[:, 1:].float() / 1000).view(len(images), 3, *[1] * (images.dim() - 2))
        changed = (grey + (values - grey) * _factors(draws, images)) * gains
        return torch.cat([as_pixels(changed, images), images[:, 3:]], dim=1)


class Blur(Augmentation):
    """Average each pixel with its neighbours (weights 1, 2, 1 along each axis) with probability one half."""

    def draw(self, rng: np.random.Generator, count: int, size: tuple[int, ...]) -> Draws:
        """Return `[count, 1]`: 1 where the image is blurred."""
        del size
        return rng.integers(0, 2, size=(count, 1), dtype=np.int64)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return the images `[B, C, *spatial]`, some of them blurred."""
        values = images.float()
        for axis in range(2, images.dim()):
            turned = values.movedim(axis, -1)
            wide = functional.pad(turned.flatten(0, -2)[:, None], (1, 1), mode="replicate")[:, 0]
            soft = sum(w * wide[:, i : i + turned.shape[-1]] for i, w in enumerate(_BLUR))
            values = torch.as_tensor(soft).view(turned.shape).movedim(-1, axis)
        chosen = draws[:, 0].bool().view(-1, *[1] * (images.dim() - 1))
        return torch.where(chosen, as_pixels(values, images), images)


class Noise(Augmentation):
    """Add Gaussian noise of a tenth of the standard deviation of the image's pixels."""

    def draw(self, rng: np.random.Generator, count: int, size: tuple[int, ...]) -> Draws:
        """Return `[count, 1]`: a seed for each image."""
        del size
        return rng.integers(0, 1 << 31, size=(count, 1), dtype=np.int64)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return the images `[B, C, *spatial]` with noise, which is made on the CPU: the same on every device."""
        noise = torch.stack(
            [
                torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(seed))
                for seed in draws[:, 0].tolist()
            ]
        )
        values = images.float()
        spread = values.std(dim=tuple(range(1, images.dim())), keepdim=True, correction=0)
        return as_pixels(values + _NOISE * spread * noise.to(images.device), images)


class Erase(Augmentation):
    """Fill a rectangle with the image's mean colour, its sides a fourth to half of the image's; labels stay.

    Source: Zhong et al. 2017, "Random erasing data augmentation"; DeVries and Taylor 2017, "Cutout".
    """

    def draw(self, rng: np.random.Generator, count: int, size: tuple[int, ...]) -> Draws:
        """Return `[count, 2 * len(size)]`: first and length along each axis in pixels."""
        least, most = ([max(1, side // part) for side in size] for part in _ERASED)
        lengths = rng.integers(least, np.array(most) + 1, size=(count, len(size)), dtype=np.int64)
        firsts = rng.integers(0, np.array(size) - lengths + 1, dtype=np.int64)
        return np.stack([firsts, lengths], axis=2).reshape(count, -1)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return the images `[B, C, *spatial]`, each with a rectangle filled."""
        inside = torch.ones(len(images), *[1] * (images.dim() - 1), device=images.device).bool()
        for axis, side in enumerate(images.shape[2:]):
            first, length = draws[:, 2 * axis, None], draws[:, 2 * axis + 1, None]
            places = torch.arange(side, device=images.device)
            within = (places >= first) & (places < first + length)
            shape = [len(images), *[1] * (images.dim() - 1)]
            shape[axis + 2] = side
            inside = inside & within.view(shape)
        mean = images.float().mean(dim=tuple(range(2, images.dim())), keepdim=True)
        return torch.where(inside, as_pixels(mean, images), images)


def _factors(draws: Tensor, images: Tensor) -> Tensor:
    """Return one factor for each image, shaped to multiply them, from thousandths in the first column."""
    return (1 + draws[:, 0].float() / 1000).view(-1, *[1] * (images.dim() - 1))
