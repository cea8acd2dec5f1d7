"""The width at which a method costs as much as another."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

CLOSE = 0.02
"""Networks whose MACs differ by less than this share count as equal."""
NEAR = 0.1
"""A width further off than this share is none at equal MACs."""
_LEAST, _GREATEST, _STEPS = 1 / 16, 8.0, 10


@dataclass(frozen=True)
class Fit:
    """A width and its cost.

    Attributes:
        factor: On the method's own width.
        macs: What it costs there.
    """

    factor: float
    macs: int


def fit_width(macs: Callable[[float], int], target: int) -> Fit | None:
    """Return the width whose cost is nearest to a target, or None if none comes near.

    A network's cost grows about with the square of its width, which a few corrections use.

    Args:
        macs: Multiply-accumulates at a factor on the width, growing with it.
        target: The cost that is wanted.
    """
    tried: dict[float, int] = {}
    factor, low, high = 1.0, _LEAST, _GREATEST
    for _ in range(_STEPS):
        cost = tried[factor] = macs(factor)
        if abs(cost / target - 1) < CLOSE / 4:
            break
        low, high = (factor, high) if cost < target else (low, factor)
        step = factor * math.sqrt(target / cost)
        factor = step if low < step < high else math.sqrt(low * high)
        factor = round(factor, 4)
        if factor in tried:
            break
    best = min(tried, key=lambda f: abs(tried[f] - target))
    return Fit(best, tried[best]) if abs(tried[best] / target - 1) <= NEAR else None
