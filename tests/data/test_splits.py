"""Splits are partitions, keep groups whole and depend on the seed only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfg_nas.data.splits import Splits, divide, random_splits
from sfg_nas.errors import ConfigError, DataError


@given(
    count=st.integers(60, 300),
    groups=st.integers(30, 200),
    validation=st.floats(0.1, 0.4),
    test=st.floats(0.1, 0.4),
    seed=st.integers(0, 2**31),
)
def test_a_partition_that_keeps_groups_whole(
    count: int, groups: int, validation: float, test: float, seed: int
) -> None:
    members = np.random.default_rng(seed).integers(0, groups, count)
    splits = random_splits(count, groups=members, validation=validation, test=test, seed=seed)
    parts = (splits.train, splits.validation, splits.test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    seen = [set(members[part].tolist()) for part in parts]
    assert seen[0].isdisjoint(seen[1] | seen[2])
    assert seen[1].isdisjoint(seen[2])
    largest = np.bincount(members).max()
    assert round(test * count) <= len(splits.test) < test * count + largest + 1
    assert abs(len(splits.validation) - validation * count) <= 2 * largest + 1


def test_the_seed_decides() -> None:
    first, again, other = (random_splits(100, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.test, again.test)
    np.testing.assert_array_equal(first.train, again.train)
    assert not np.array_equal(first.test, other.test)
    assert (len(first.train), len(first.validation), len(first.test)) == (80, 10, 10)


def test_divide_keeps_row_numbers() -> None:
    rows = np.array([10, 20, 30, 40, 50])
    groups = np.arange(60)
    groups[50] = groups[10]
    rest, part = divide(rows, 0.4, groups=groups, seed=0)
    assert sorted([*rest, *part]) == rows.tolist()
    assert (10 in rest) == (50 in rest)


def test_fractions_are_nested_and_leave_other_parts() -> None:
    splits = random_splits(200, seed=1)
    tenth, half = splits.with_fraction(0.1, 5), splits.with_fraction(0.5, 5)
    assert (len(tenth.train), len(half.train)) == (16, 80)
    assert set(tenth.train) < set(half.train) < set(splits.train)
    np.testing.assert_array_equal(tenth.validation, splits.validation)
    np.testing.assert_array_equal(tenth.test, splits.test)
    np.testing.assert_array_equal(splits.with_fraction(1.0, 5).train, splits.train)
    assert set(splits.with_fraction(0.1, 6).train) != set(tenth.train)
    with pytest.raises(ConfigError, match="at most 1"):
        splits.with_fraction(0.0, 5)


def test_wrong_splits_are_refused() -> None:
    one, two, three = np.array([0, 1]), np.array([2]), np.array([3])
    with pytest.raises(DataError, match="test: each part needs at least one image"):
        Splits(one, two, np.array([], dtype=np.int64))
    with pytest.raises(DataError, match="1 rows more than once"):
        Splits(one, np.array([1]), three)
    with pytest.raises(ConfigError, match=r"validation \+ test"):
        random_splits(10, validation=0.5, test=0.5)
    with pytest.raises(DataError, match="each part needs"):
        random_splits(3)
