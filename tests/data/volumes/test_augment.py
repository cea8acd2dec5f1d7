"""Patches and their maps change together; what is unknown stays unknown."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sfg_nas.data.volumes.augment import DRAWS, VOLUME_AUGMENTATIONS

EVERY = pytest.mark.parametrize("name", sorted(VOLUME_AUGMENTATIONS))
SIZES = pytest.mark.parametrize("size", [(12, 10), (8, 10, 4)])


def made(size: tuple[int, ...]) -> tuple[Tensor, dict[str, Tensor]]:
    images = torch.randn(5, 1, *size)
    organs = torch.randint(0, 4, (5, *size))
    values = organs * 100.0
    organs[0], values[1] = -1, math.nan
    return images, {"ct": torch.stack([values, organs - 1.0], 1), "organs": organs}


@EVERY
@SIZES
def test_shapes_types_and_missing_labels(name: str, size: tuple[int, ...]) -> None:
    images, maps = made(size)
    moved, changed = VOLUME_AUGMENTATIONS[name](images, maps, torch.rand(5, DRAWS))
    assert moved.shape == images.shape
    assert torch.isfinite(moved).all()
    for task, values in maps.items():
        assert changed[task].shape == values.shape
        assert changed[task].dtype == values.dtype
    assert (changed["organs"][0] == -1).all()
    assert changed["ct"][1, 0].isnan().all()
    known = changed["organs"][2:] >= 0
    assert known.float().mean() > 0.6
    assert torch.equal(changed["ct"][2:, 0][known], 100.0 * changed["organs"][2:][known])


@EVERY
@SIZES
def test_draws_of_one_half_change_little(name: str, size: tuple[int, ...]) -> None:
    images, maps = made(size)
    moved, changed = VOLUME_AUGMENTATIONS[name](images, maps, torch.full((5, DRAWS), 0.5))
    torch.testing.assert_close(moved, images, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(changed["ct"], maps["ct"], equal_nan=True)


def test_flips_mirror_the_first_axis() -> None:
    images, maps = made((6, 4))
    moved, changed = VOLUME_AUGMENTATIONS["flip"](images, maps, torch.zeros(5, DRAWS))
    assert torch.equal(moved, images.flip(2))
    assert torch.equal(changed["organs"], maps["organs"].flip(1))
    torch.testing.assert_close(changed["ct"], maps["ct"].flip(2), equal_nan=True)


@pytest.mark.parametrize("size", [(33, 21), (33, 21, 3)])
def test_images_and_labels_turn_alike(size: tuple[int, ...]) -> None:
    organs = torch.zeros(1, *size, dtype=torch.int64)
    organs[:, 8:26, 6:16] = 1
    images, draws = organs[:, None].float(), torch.tensor([[1.0, 0.0] + [0.5] * (DRAWS - 2)])
    moved, changed = VOLUME_AUGMENTATIONS["affine"](images, {"organs": organs}, draws)
    known = changed["organs"] >= 0
    agree = ((moved[:, 0] > 0.5).long() == changed["organs"])[known]
    assert agree.float().mean() > 0.98
    area = (changed["organs"] == 1).sum() / organs.sum()
    assert area == pytest.approx(
        1 / 0.9**2, rel=0.06
    )  # the shape kept, a tenth larger along both axes
