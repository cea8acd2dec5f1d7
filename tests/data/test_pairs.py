"""Composed pairs of digits."""

from __future__ import annotations

import numpy as np
import pytest

from sfg_nas.data.augment import IN_PLACE
from sfg_nas.data.pairs import Pairs, bundle_of_pairs, compose, overlay
from sfg_nas.tasks import Task


def test_the_brighter_pixel_wins_where_digits_overlap() -> None:
    left = np.array([[[9, 1], [9, 1]]], dtype=np.uint8)
    right = np.array([[[5, 5], [5, 5]]], dtype=np.uint8)
    canvas = overlay(left, right, np.array([[[0, 0], [1, 1]]]), 4)
    expected = [[9, 1, 0, 0], [9, 5, 5, 0], [0, 5, 5, 0], [0, 0, 0, 0]]
    assert canvas[0].tolist() == expected


def test_labels_belong_to_their_side_and_every_source_is_used() -> None:
    # The pixel of a digit is its class plus one, so that an image tells its own labels.
    labels = np.arange(10)
    sources = np.tile((labels + 1).astype(np.uint8)[:, None, None], (1, 2, 2))
    corners = np.tile(np.array([[0, 0], [0, 2]]), (25, 1, 1))
    pairs = compose(sources, labels, corners, 4, np.random.default_rng(0))
    np.testing.assert_array_equal(pairs.images[:, 0, 0] - 1, pairs.left)
    np.testing.assert_array_equal(pairs.images[:, 0, 3] - 1, pairs.right)
    assert sorted(np.bincount(pairs.left).tolist()) == [2] * 5 + [3] * 5
    assert not np.array_equal(pairs.left, pairs.right)


def test_parts_stay_apart_in_the_bundle() -> None:
    parts = [
        Pairs(np.full((n, 8, 8), n, dtype=np.uint8), np.full(n, n), np.full(n, 1))
        for n in (6, 3, 2)
    ]
    tasks = (Task("left", "classification", 10), Task("sum", "regression"))
    bundle = bundle_of_pairs("made", parts, tasks, fraction=0.5, seed=0)
    assert [len(part) for part in (bundle.train, bundle.validation, bundle.test)] == [3, 3, 2]
    for part, n in ((bundle.train, 6), (bundle.validation, 3), (bundle.test, 2)):
        assert set(part.images[part.indices].reshape(-1).tolist()) == {n}
        assert set(part.targets["left"].tolist()) == {n}
        assert set(part.targets["sum"].tolist()) == {n + 1.0}
        assert part.augmentations == IN_PLACE


def test_a_digit_that_does_not_fit_is_an_error() -> None:
    digit = np.ones((1, 3, 3), dtype=np.uint8)
    with pytest.raises(IndexError):
        overlay(digit, digit, np.array([[[0, 0], [2, 2]]]), 4)
