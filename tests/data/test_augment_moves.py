"""What moves pixels, against slow references, and the labels that lie on them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sfg_nas.data.augment import AUGMENTATIONS, Crop, Flip
from sfg_nas.data.augment_moves import QuarterTurns, Rotate

MOVING = ("flip", "flip-vertical", "crop", "quarter-turns", "rotate")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("axis", [-1, -2])
def test_flip_mirrors_the_chosen_images_only(axis: int, dtype: torch.dtype) -> None:
    images = torch.arange(3 * 2 * 4 * 5).view(3, 2, 4, 5).to(dtype)
    found = Flip(axis).apply(images, torch.tensor([[1], [0], [1]]))
    assert torch.equal(found[0], images[0].flip(axis))
    assert torch.equal(found[1], images[1])
    assert torch.equal(found[2], images[2].flip(axis))


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
    assert set(QuarterTurns().draw(rng, 100, (16, 16))[:, 0].tolist()) == {0, 1, 2, 3}
    assert set(QuarterTurns().draw(rng, 100, (16, 20))[:, 0].tolist()) == {0, 2}
    angles = Rotate().draw(rng, 2000, (16, 16))
    assert -1500 <= angles.min() < -1400
    assert 1400 < angles.max() <= 1500


def test_a_rotation_by_a_right_angle_is_exact() -> None:
    images = torch.randint(0, 256, (1, 2, 9, 9), dtype=torch.uint8)
    quarter = torch.tensor([[9000]])
    found = Rotate().apply(images, quarter)
    assert any(torch.equal(found, images.rot90(k, (-2, -1))) for k in (1, 3))
    labels = torch.rand(1, 1, 9, 9)
    moved = Rotate().move(labels, quarter, math.nan)
    assert any(torch.equal(moved, labels.rot90(k, (-2, -1))) for k in (1, 3))


@pytest.mark.parametrize("name", MOVING)
@pytest.mark.parametrize("missing", [-1, math.nan])
def test_labels_go_where_their_pixels_go(name: str, missing: float) -> None:
    """The labels are the image itself, and a plane, so that interpolation errs by less than a label."""
    augmentation = AUGMENTATIONS[name]
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    plane = (2 * rows + columns).expand(40, 1, 32, 32).clone()
    draws = torch.from_numpy(augmentation.draw(np.random.default_rng(3), 40, (32, 32)))
    images = augmentation.apply(plane, draws)
    assert not torch.equal(images, plane)
    labels = plane if math.isnan(missing) else plane.long()
    moved = augmentation.move(labels, draws, missing)
    assert moved.dtype == labels.dtype
    known = ~torch.isnan(moved) if math.isnan(missing) else moved != missing
    far = (moved.float() - images).abs()[known]
    assert far.max() <= (1.6 if name == "rotate" else 0)
    assert known.float().mean() > 0.85
    assert bool(known.all()) == (name != "rotate")
    assert set(moved[known].tolist()) <= set(plane.flatten().tolist())


@pytest.mark.parametrize("name", ["flip", "flip-vertical", "crop"])
def test_slopes_are_mirrored_with_the_surface(name: str) -> None:
    """Slopes that moved with a surface are those of the surface that moved."""
    augmentation = AUGMENTATIONS[name]
    height = torch.from_numpy(np.random.default_rng(0).random((30, 1, 24, 32))).cumsum(2).cumsum(3)

    def slopes(surface: torch.Tensor) -> torch.Tensor:
        down, right = torch.gradient(surface[:, 0], dim=(1, 2))
        return torch.stack([right, down], dim=1)

    draws = torch.from_numpy(augmentation.draw(np.random.default_rng(1), 30, (24, 32)))
    moved = augmentation.move(slopes(height), draws, math.nan)
    signs = augmentation.signs(draws, (24, 32))
    assert signs is not None
    found = moved * signs[:, :2]
    wanted = slopes(augmentation.apply(height, draws))
    agree = torch.isclose(found, wanted).all(1)
    # At the rim, and at the line about which a border is reflected, a slope has no two neighbours.
    rim = torch.zeros(24, 32, dtype=torch.bool)
    rim[1:-1, 1:-1] = True
    if name == "crop":
        for image, (down, right) in enumerate(draws.tolist()):
            inner = rim.clone()
            for axis, shift in enumerate((down, right)):
                side = (24, 32)[axis]
                seam = -shift if shift < 0 else side - 1 - shift
                band = [s for s in range(seam - 1, seam + 2) if 0 <= s < side]
                inner.index_fill_(axis, torch.tensor(band), value=False)
            assert agree[image][inner].all()
    else:
        assert agree[:, rim].all()
