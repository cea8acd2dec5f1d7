"""Windows count every voxel once."""

from __future__ import annotations

import numpy as np
import pytest

from sfg_nas.data.volumes.tiles import tiles, window


@pytest.mark.parametrize("shape", [(5,), (8,), (9,), (17,), (40,), (20, 7, 9)])
@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("margin", [0, 1, 3, 20])
def test_every_voxel_once(shape: tuple[int, ...], size: int, margin: int) -> None:
    counts = np.zeros(shape, dtype=int)
    for tile in tiles(shape, (size,) * len(shape), margin):
        counts[tile.own] += 1
        for start, (low, high), length in zip(tile.start, tile.core, shape, strict=True):
            assert start <= low < high <= start + size
            if length > size:
                assert 0 <= start <= length - size
                kept = min(margin, (size - 1) // 2)
                assert low == 0 or low - start >= kept
                assert high == length or start + size - high >= kept
    assert (counts == 1).all()


def test_windows_are_filled_beyond_the_volume() -> None:
    array = np.arange(6).reshape(2, 3)
    assert window(array, (0, 1), (2, 2), -1).tolist() == [[1, 2], [4, 5]]
    assert window(array, (-1, 2), (4, 2), -1).tolist() == [[-1, -1], [2, -1], [5, -1], [-1, -1]]
