"""What every augmentation must keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfg_nas.data.augment import AUGMENTATIONS, IN_PLACE

EVERY = pytest.mark.parametrize("name", sorted(AUGMENTATIONS))


@EVERY
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_shape_type_and_input_are_kept(name: str, dtype: torch.dtype) -> None:
    augmentation = AUGMENTATIONS[name]
    images = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8).to(dtype)
    before = images.clone()
    draws = torch.from_numpy(augmentation.draw(np.random.default_rng(1), 6, (16, 16)))
    found = augmentation.apply(images, draws)
    assert (found.shape, found.dtype) == (images.shape, images.dtype)
    assert torch.equal(images, before)
    assert not torch.equal(found, images)
    halves = [augmentation.apply(images[i : i + 3], draws[i : i + 3]) for i in (0, 3)]
    torch.testing.assert_close(torch.cat(halves), found)


@EVERY
def test_draws_depend_on_the_generator_only(name: str) -> None:
    augmentation = AUGMENTATIONS[name]
    rows = [augmentation.draw(np.random.default_rng(seed), 50, (12, 20)) for seed in (1, 1, 2)]
    assert np.array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])
    assert rows[0].dtype == np.int64


def test_those_in_place_exist() -> None:
    assert set(IN_PLACE) <= set(AUGMENTATIONS)
