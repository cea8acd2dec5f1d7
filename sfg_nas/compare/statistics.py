"""Intervals for the mean of a few paired differences, and what they are worth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from sfg_nas.report.verdict import FEWEST_SEEDS, without_spread

LEVEL = 0.95
_ALL_RESAMPLES = 6
"""Up to so many differences every resample is counted (6^6 = 46,656), above it some are drawn."""
_DRAWN = 10_000
_COVERAGE = {3: 0.75, 4: 0.80, 5: 0.84, 6: 0.86, 7: 0.87, 8: 0.89, 9: 0.89, 10: 0.90}
"""Of the bootstrap interval at `LEVEL`, by the number of differences: 12,000 or more sets of normal differences each."""


@dataclass(frozen=True)
class Interval:
    """What is known of the mean of paired differences.

    Attributes:
        count: Differences, one for each seed.
        mean: Their mean.
        sd: Their standard deviation; NaN for one.
        low: Lower end of the t interval; NaN for one, and where all are equal.
        high: Upper end.
        bootstrap_low: Lower end of the percentile bootstrap; NaN for one, and where all are equal.
        bootstrap_high: Upper end.
    """

    count: int
    mean: float
    sd: float
    low: float
    high: float
    bootstrap_low: float
    bootstrap_high: float

    @property
    def settled(self) -> bool:
        """Return whether there are seeds enough and the t interval leaves zero out."""
        return self.count >= FEWEST_SEEDS and (self.low > 0 or self.high < 0)


def interval(
    differences: Sequence[float], *, level: float = LEVEL, comparisons: int = 1
) -> Interval:
    """Return mean and intervals of paired differences.

    The t interval rests on differences that are about normal; with `comparisons` it is widened so that all of them
    hold together (Bonferroni). The bootstrap resamples the differences themselves: with 3 it can give nothing wider
    than from the least to the greatest, which holds the true median in 75 of 100 cases, whatever level is asked for.
    Differences that are all equal show nothing of chance and have no interval: one of no width would settle any of them.

    Args:
        differences: One for each seed.
        level: Of confidence.
        comparisons: How many intervals shall hold together.
    """
    values = np.asarray(differences, dtype=np.float64)
    mean = float(values.mean()) if len(values) else math.nan
    if len(values) < 2:
        return Interval(len(values), mean, *[math.nan] * 5)
    sd = float(values.std(ddof=1))
    if without_spread(mean, sd):
        return Interval(len(values), mean, 0.0, *[math.nan] * 4)
    tail = (1 - level) / comparisons / 2
    reach = float(student.ppf(1 - tail, len(values) - 1)) * sd / math.sqrt(len(values))
    low, high = np.quantile(_means(values), [tail, 1 - tail], method="inverted_cdf")
    return Interval(len(values), mean, sd, mean - reach, mean + reach, float(low), float(high))


def _means(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[float]:
    """Return the means of resamples with replacement."""
    count = len(values)
    if count <= _ALL_RESAMPLES:
        return [math.fsum(chosen) / count for chosen in itertools.product(values, repeat=count)]
    places = np.random.default_rng(0).integers(0, count, (_DRAWN, count))
    return [float(mean) for mean in values[places].mean(1)]


def bootstrap_coverage(count: int) -> float:
    """Return how often the bootstrap interval of so few differences holds the true mean of a normal distribution.

    Up to 10 differences, as simulated; NaN for fewer than 3 or more than 10. Where it reaches from the least to the
    greatest, as with 3, the same holds for the median of any continuous distribution.

    Args:
        count: Differences.
    """
    return _COVERAGE.get(count, math.nan)
