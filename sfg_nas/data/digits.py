"""The embedded data set: two overlapping handwritten digits on one small canvas."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from sfg_nas.data.bundle import DataBundle
from sfg_nas.data.checks import check_integer, check_share
from sfg_nas.data.location import Location
from sfg_nas.data.pairs import Bytes, Integers, Pairs, bundle_of_pairs, compose
from sfg_nas.tasks import Task

_PARTS_OF_FIVE = ((0, 1, 2), (3,), (4,))
"""Of every five source digits of a class: three for train, one for validation, one for test."""


def load(
    location: Location,
    *,
    size: int = 16,
    train: int = 4000,
    validation: int = 1000,
    test: int = 1000,
    overlap: float = 0.5,
    fraction: float = 1.0,
    seed: int = 0,
) -> DataBundle:
    """Return pairs of scikit-learn's handwritten digits (Alpaydin & Kaynak 1998, UCI).

    The 1,797 source digits are divided over the three parts, stratified by class, *before* anything
    is composed, so no pen stroke of a test image is seen in training. Tasks: `left` and `right` (10
    classes) and `sum` (regression, left + right).

    Args:
        location: Unused; the digits come with scikit-learn.
        size: Side of the canvas in pixels, at least 12.
        train: Training images to compose.
        validation: Validation images to compose.
        test: Test images to compose.
        overlap: The share of a digit's width that lies over or under the other one's.
        fraction: The share of the training images to keep.
        seed: Seed of the division, the pairs and their places.

    Raises:
        ConfigError: If an option is impossible.
    """
    del location
    check_integer("digits: size", size, 12)
    check_share("digits: overlap", overlap, whole=False)
    check_integer("digits: seed", seed, 0)
    sources, labels = _sources(round(size / (2 - overlap)))
    counts = {"train": train, "validation": validation, "test": test}
    parts: list[Pairs] = []
    for part, rows in zip(counts, source_parts(labels, seed), strict=True):
        count = check_integer(f"digits: {part}", counts[part], 1)
        rng = np.random.default_rng([seed, len(parts), 10])
        parts.append(_part(sources[rows], labels[rows], count, size, rng))
    tasks = (
        Task("left", "classification", 10),
        Task("right", "classification", 10),
        Task("sum", "regression"),
    )
    return bundle_of_pairs("digits", parts, tasks, fraction=fraction, seed=seed)


def source_parts(labels: Integers, seed: int) -> tuple[Integers, Integers, Integers]:
    """Return the source digits of train, validation and test: 60, 20 and 20 % of each class.

    Args:
        labels: The class of every source digit, `[m]`.
        seed: Seed of the division.
    """
    order = np.random.default_rng([seed, 11]).permutation(len(labels))
    ranks = np.empty(len(labels), dtype=np.int64)
    for digit in np.unique(labels):
        members = order[labels[order] == digit]
        ranks[members] = np.arange(len(members)) % 5
    first, second, third = (np.flatnonzero(np.isin(ranks, part)) for part in _PARTS_OF_FIVE)
    return first, second, third


def _sources(side: int) -> tuple[Bytes, Integers]:
    """Return the digits enlarged from 8 to `side` pixels, `[m, side, side]`, and their classes."""
    from sklearn.datasets import load_digits  # late: half a second

    digits = load_digits()
    grey = torch.from_numpy(digits.images).float().unsqueeze(1) * (255 / 16)
    enlarged = functional.interpolate(grey, (side, side), mode="bilinear", align_corners=False)
    pixels: Bytes = enlarged.squeeze(1).round().to(torch.uint8).numpy()
    return pixels, digits.target.astype(np.int64)


def _part(
    sources: Bytes, labels: Integers, count: int, size: int, rng: np.random.Generator
) -> Pairs:
    room = size - sources.shape[1]
    corners = rng.integers(0, room + 1, size=(count, 2, 2))
    jitter = rng.integers(0, max(1, size // 8), size=(count, 2))
    corners[:, 0, 1] = jitter[:, 0]
    corners[:, 1, 1] = room - jitter[:, 1]
    return compose(sources, labels, np.clip(corners, 0, room), size, rng)
