"""Intervals of few differences, by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from sfg_nas.compare.statistics import bootstrap_coverage, interval


def test_three_differences_by_hand() -> None:
    found = interval([1.0, 2.0, 6.0])
    assert found.mean == 3.0
    assert found.sd == pytest.approx(math.sqrt(7))
    # t of 2 degrees of freedom at 97.5 %: 4.302653
    reach = 4.302653 * math.sqrt(7 / 3)
    assert (found.low, found.high) == pytest.approx((3 - reach, 3 + reach), rel=1e-6)
    assert (found.bootstrap_low, found.bootstrap_high) == (1.0, 6.0)
    assert not found.settled
    assert bootstrap_coverage(3) == 0.75


def test_the_bootstrap_counts_every_resample() -> None:
    values = [0.0, 1.0, 5.0, 7.0]
    means = sorted(sum(chosen) / 4 for chosen in itertools.product(values, repeat=4))
    found = interval(values, level=0.9)
    assert found.bootstrap_low == means[math.ceil(0.05 * 256) - 1]
    assert found.bootstrap_high == means[math.ceil(0.95 * 256) - 1]


def test_many_differences_are_resampled_the_same_every_time() -> None:
    values = np.random.default_rng(0).normal(1.0, 1.0, 40).tolist()
    found = interval(values)
    assert found == interval(values)
    assert found.bootstrap_low == pytest.approx(found.low, abs=0.1)
    assert found.bootstrap_high == pytest.approx(found.high, abs=0.1)


def test_more_comparisons_widen_the_interval() -> None:
    one, five = interval([1.0, 1.1, 1.3]), interval([1.0, 1.1, 1.3], comparisons=5)
    assert five.low < one.low < one.high < five.high
    assert one.settled


def test_the_t_interval_covers_what_it_says() -> None:
    rng = np.random.default_rng(1)
    draws = [interval(rng.normal(0, 1, 3).tolist()) for _ in range(2000)]
    covered = sum(not found.settled for found in draws) / len(draws)
    assert covered == pytest.approx(0.95, abs=0.015)
    by_range = sum(f.bootstrap_low < 0 < f.bootstrap_high for f in draws) / len(draws)
    assert by_range == pytest.approx(bootstrap_coverage(3), abs=0.03)


def test_the_bootstrap_covers_what_is_said_of_it() -> None:
    rng = np.random.default_rng(2)
    draws = [interval(rng.normal(0, 1, 4).tolist()) for _ in range(500)]
    covered = sum(f.bootstrap_low < 0 < f.bootstrap_high for f in draws) / len(draws)
    assert covered == pytest.approx(bootstrap_coverage(4), abs=0.04)
    told = [bootstrap_coverage(count) for count in range(3, 11)]
    assert told == sorted(told)
    assert told[-1] < 0.95  # with any of these it is shorter than it says
    assert math.isnan(bootstrap_coverage(11))


def test_one_difference_has_no_interval() -> None:
    found = interval([2.0])
    assert found.mean == 2.0
    assert math.isnan(found.low)
    assert not found.settled


@pytest.mark.parametrize(
    "values", [[0.02] * 2, [0.0] * 3, [-1.5] * 12, [0.9 - 0.89, 0.8 - 0.79, 0.01]]
)
def test_equal_differences_settle_nothing(values: list[float]) -> None:
    found = interval(values)
    assert found.mean == pytest.approx(values[0])
    assert found.sd == 0.0
    ends = (found.low, found.high, found.bootstrap_low, found.bootstrap_high)
    assert all(math.isnan(end) for end in ends)
    assert not found.settled


def test_two_differences_settle_nothing() -> None:
    found = interval([1.0, 1.001])
    assert found.low > 0  # whatever the interval is, two differences hardly know their spread
    assert not found.settled
    assert interval([1.0, 1.001, 1.002]).settled
