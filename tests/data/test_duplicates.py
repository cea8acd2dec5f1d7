"""Near-duplicates are found, other photos are not joined."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sfg_nas.data import duplicates
from sfg_nas.data.duplicates import near_duplicates


def thumbnail(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(photo).convert("L").resize((16, 16), Image.Resampling.BOX))


def test_copies_brighter_and_smaller_ones_are_joined_and_no_others(
    photo: Callable[..., NDArray[np.uint8]],
) -> None:
    photos = [photo(number, 64) for number in range(50)]
    brighter = (photos[7].astype(np.float64) * 0.8 + 40).astype(np.uint8)
    smaller = np.asarray(Image.fromarray(photos[7]).resize((40, 40)))
    images = [thumbnail(image) for image in (*photos, photos[3], brighter, smaller)]
    groups = near_duplicates(np.stack(images))
    assert groups[:50].tolist() == list(range(50))
    assert groups[50:].tolist() == [3, 7, 7]


def test_the_relation_is_transitive_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each photo resembles its neighbour; the first and the last do not resemble each other.
    rng = np.random.default_rng(0)
    steps = rng.normal(0, 1, (30, 256))
    walk = 128 + 40 * steps[0] + 8 * np.cumsum(steps[1:], axis=0)
    thumbnails = np.clip(walk, 0, 255).astype(np.uint8).reshape(-1, 16, 16)
    ends = np.corrcoef(thumbnails[0].ravel(), thumbnails[-1].ravel())[0, 1]
    assert ends < duplicates.SIMILARITY
    whole = near_duplicates(thumbnails)
    assert whole.tolist() == [0] * len(thumbnails)
    monkeypatch.setattr(duplicates, "_BLOCK", 4)
    np.testing.assert_array_equal(near_duplicates(thumbnails), whole)


def test_photos_of_one_grey_are_joined_only_with_the_same_grey() -> None:
    flat = np.stack([np.full((16, 16), grey, dtype=np.uint8) for grey in (0, 9, 0, 255, 9)])
    assert near_duplicates(flat).tolist() == [0, 1, 0, 3, 1]
