"""Two overlapping digits on one canvas, and the data set made of such pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfg_nas.data.arrays import assemble, digest
from sfg_nas.data.augment import IN_PLACE
from sfg_nas.data.bundle import DataBundle
from sfg_nas.data.splits import Splits
from sfg_nas.tasks import Task

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Composed images.

    Attributes:
        images: `[n, size, size]`.
        left: The class of the left digit, `[n]`.
        right: The class of the right digit, `[n]`.
    """

    images: Bytes
    left: Integers
    right: Integers


def overlay(left: Bytes, right: Bytes, corners: Integers, size: int) -> Bytes:
    """Return canvases with two digits each; where they overlap the brighter pixel wins.

    Args:
        left: First digits, `[n, h, w]`.
        right: Second digits, `[n, h, w]`.
        corners: Row and column of the upper left corner of each digit, `[n, 2, 2]`.
        size: Side of the canvas in pixels; both digits must fit.

    Returns:
        `[n, size, size]`.
    """
    canvas = np.zeros((len(left), size, size), dtype=np.uint8)
    image = np.arange(len(left))[:, None, None]
    for digit, place in ((left, corners[:, 0]), (right, corners[:, 1])):
        row = (place[:, 0, None] + np.arange(digit.shape[1]))[:, :, None]
        column = (place[:, 1, None] + np.arange(digit.shape[2]))[:, None, :]
        canvas[image, row, column] = np.maximum(canvas[image, row, column], digit)
    return canvas


def compose(
    sources: Bytes, labels: Integers, corners: Integers, size: int, rng: np.random.Generator
) -> Pairs:
    """Return one pair of digits for each row of `corners`.

    Every source is the left digit equally often (give or take one); the right digit is drawn from
    all sources.

    Args:
        sources: Digits, `[m, h, w]`.
        labels: Their classes, `[m]`.
        corners: Row and column of the upper left corner of each digit, `[n, 2, 2]`.
        size: Side of the canvas in pixels.
        rng: The stream that the pairs are drawn from.
    """
    count = len(corners)
    rounds = -(-count // len(sources))
    left = np.concatenate([rng.permutation(len(sources)) for _ in range(rounds)])[:count]
    right = rng.integers(0, len(sources), size=count)
    images = overlay(sources[left], sources[right], corners, size)
    return Pairs(images, labels[left], labels[right])


def bundle_of_pairs(
    name: str, parts: Sequence[Pairs], tasks: Sequence[Task], *, fraction: float, seed: int
) -> DataBundle:
    """Return the data set of three parts with tasks out of `left`, `right` and `sum`.

    Args:
        name: The name of the data set.
        parts: Training, validation and test pairs.
        tasks: The tasks.
        fraction: The share of the training images to keep.
        seed: Seed of that choice.

    Raises:
        ConfigError: If the fraction is impossible.
    """
    images = np.concatenate([part.images for part in parts])[:, None]
    left = np.concatenate([part.left for part in parts])
    right = np.concatenate([part.right for part in parts])
    ends = np.cumsum([len(part.left) for part in parts])
    rows = [np.arange(end - len(part.left), end) for end, part in zip(ends, parts, strict=True)]
    return assemble(
        name,
        images,
        {"left": left, "right": right, "sum": left + right},
        tasks,
        Splits(*rows).with_fraction(fraction, seed),
        content=digest(images),
        # A mirror image would swap left and right, and a mirrored digit is no digit.
        augmentations=IN_PLACE,
    )
