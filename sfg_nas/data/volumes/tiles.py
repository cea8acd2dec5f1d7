"""Windows over a volume: where they start, and which part of each is its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tile:
    """A window, and the part of it that no other window of the volume counts.

    Attributes:
        start: First voxel along each axis; below 0 where the volume is smaller than the window.
        core: First and one past the last voxel of its own part along each axis.
    """

    start: tuple[int, ...]
    core: tuple[tuple[int, int], ...]

    @property
    def own(self) -> tuple[slice, ...]:
        """Give the slices of the volume that are the window's own."""
        return tuple(slice(first, last) for first, last in self.core)


def tiles(shape: Sequence[int], size: Sequence[int], margin: int) -> Iterator[Tile]:
    """Yield windows whose own parts together hold every voxel once.

    Args:
        shape: Of the volume.
        size: Of a window.
        margin: Voxels next to a window's border that another window counts where there is one.
    """
    along = [_along(length, side, margin) for length, side in zip(shape, size, strict=True)]
    for chosen in product(*along):
        yield Tile(
            tuple(start for start, _, _ in chosen), tuple((low, high) for _, low, high in chosen)
        )


def _along(length: int, side: int, margin: int) -> list[tuple[int, int, int]]:
    if length <= side:
        return [(-((side - length) // 2), 0, length)]
    margin = min(margin, (side - 1) // 2)
    found, start, low = [], 0, 0
    while True:
        last = start + side >= length
        start = min(start, length - side)
        high = length if last else start + side - margin
        found.append((start, low, high))
        if last:
            return found
        low, start = high, high - margin


def window(
    array: NDArray[np.generic], start: Sequence[int], size: Sequence[int], fill: float
) -> NDArray[np.generic]:
    """Return a window of an array, filled where it reaches beyond.

    Args:
        array: Any volume.
        start: First voxel along each axis, perhaps below 0.
        size: Of the window.
        fill: What stands beyond the array.
    """
    inner = tuple(
        slice(max(first, 0), min(first + side, length))
        for first, side, length in zip(start, size, array.shape, strict=True)
    )
    found = array[inner]
    if found.shape == tuple(size):
        return np.array(found)
    whole = np.full(tuple(size), fill, dtype=array.dtype)
    place = tuple(
        slice(part.start - first, part.stop - first)
        for part, first in zip(inner, start, strict=True)
    )
    whole[place] = found
    return whole
