"""Flips and crops against slow references."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfg_nas.data.augment import AUGMENTATIONS, Crop, Flip


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_flip_mirrors_the_chosen_images_only(dtype: torch.dtype) -> None:
    images = torch.arange(3 * 2 * 4 * 5).view(3, 2, 4, 5).to(dtype)
    found = Flip().apply(images, torch.tensor([[1], [0], [1]]))
    assert torch.equal(found[0], images[0].flip(-1))
    assert torch.equal(found[1], images[1])
    assert torch.equal(found[2], images[2].flip(-1))


@pytest.mark.parametrize("size", [(16, 24), (8, 16, 8)])
def test_crop_is_reflecting_padding_then_a_window(size: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 3, *size), dtype=np.uint8)
    draws = Crop().draw(rng, 20, size)
    found = Crop().apply(torch.from_numpy(images), torch.from_numpy(draws)).numpy()
    for image, shifts, result in zip(images, draws, found, strict=True):
        margins = [(0, 0), *[(side // 8, side // 8) for side in size]]
        padded = np.pad(image, margins, mode="reflect")
        window = tuple(
            slice(side // 8 + shift, side // 8 + shift + side)
            for side, shift in zip(size, shifts, strict=True)
        )
        np.testing.assert_array_equal(result, padded[(slice(None), *window)])


def test_draws_cover_the_whole_range_evenly() -> None:
    rng = np.random.default_rng(0)
    flips = Flip().draw(rng, 2000, (16, 32))
    assert 0.45 < flips.mean() < 0.55
    shifts = Crop().draw(rng, 2000, (16, 32))
    assert sorted(set(shifts[:, 0].tolist())) == list(range(-2, 3))
    assert sorted(set(shifts[:, 1].tolist())) == list(range(-4, 5))


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_every_augmentation_keeps_shape_type_and_input(name: str) -> None:
    augmentation = AUGMENTATIONS[name]
    images = torch.randint(0, 256, (6, 1, 16, 16), dtype=torch.uint8)
    before = images.clone()
    draws = torch.from_numpy(augmentation.draw(np.random.default_rng(1), 6, (16, 16)))
    found = augmentation.apply(images, draws)
    assert (found.shape, found.dtype) == (images.shape, images.dtype)
    assert torch.equal(images, before)
    assert not torch.equal(found, images)
