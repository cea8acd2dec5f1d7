"""Stratified parts: proportions, groups, strata too small to divide."""

from __future__ import annotations

import numpy as np
import pytest

from sfg_nas.data.stratify import stratified_splits
from sfg_nas.errors import DataError


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_proportions(grouped: bool, seed: int) -> None:
    strata = np.repeat([0, 1, 2], [700, 250, 50])
    groups = np.arange(1000) // (5 if grouped else 1)
    parts = stratified_splits(strata, groups=groups, validation=0.1, test=0.2, seed=seed)
    for rows, share in ((parts.train, 0.7), (parts.validation, 0.1), (parts.test, 0.2)):
        assert len(rows) == pytest.approx(1000 * share, abs=30 if grouped else 1)
        found = np.bincount(strata[rows], minlength=3) / len(rows)
        np.testing.assert_allclose(found, [0.7, 0.25, 0.05], atol=0.03)
    together = [set(groups[rows].tolist()) for rows in (parts.train, parts.validation, parts.test)]
    assert len(set.union(*together)) == sum(map(len, together))
    again = stratified_splits(strata, groups=groups, validation=0.1, test=0.2, seed=seed)
    np.testing.assert_array_equal(again.test, parts.test)


@pytest.mark.parametrize(
    "strata",
    [
        np.zeros(20, dtype=np.int64),
        np.arange(20),
        np.array([0] * 19 + [1]),
        np.array([0] * 18 + [1, 2]),
        np.array([0] * 16 + [1, 1, 2, 3]),
    ],
)
@pytest.mark.parametrize("grouped", [False, True])
def test_small_strata_are_no_error(strata: np.ndarray, grouped: bool) -> None:
    groups = np.arange(20) // (2 if grouped else 1)
    parts = stratified_splits(strata, groups=groups, validation=0.15, test=0.15, seed=0)
    assert len(parts.train) + len(parts.validation) + len(parts.test) == 20


def test_fewer_groups_than_folds_are_divided_as_long_as_each_part_gets_one() -> None:
    strata = np.arange(24) % 2
    for count in (3, 4, 6):
        groups = np.arange(24) % count
        parts = stratified_splits(strata, groups=groups, validation=0.15, test=0.15, seed=0)
        kept = [
            len(set(groups[rows].tolist())) for rows in (parts.train, parts.validation, parts.test)
        ]
        assert kept == [count - 2, 1, 1]
    for count in (1, 2):
        groups = np.arange(24) % count
        with pytest.raises(DataError, match="each part needs at least one image; found none"):
            stratified_splits(strata, groups=groups, validation=0.15, test=0.15, seed=0)
