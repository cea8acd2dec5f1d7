"""Dominance and hypervolume of points in any number of objectives; smaller is better in each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""One row per point, one column per objective: `[N, M]`."""


def front_ranks(points: Points) -> NDArray[np.int64]:
    """Return the rank of the front of each point, `[N]`: 0 if nothing dominates it, 1 without those of rank 0, ...

    A point dominates another if it is nowhere worse and somewhere better (non-dominated sorting: Deb et al. 2002).

    Args:
        points: `[N, M]`.
    """
    no_worse = (points[:, None] <= points[None]).all(2)
    better = (points[:, None] < points[None]).any(2)
    dominates = no_worse & better
    ranks = np.full(len(points), -1, dtype=np.int64)
    rank = 0
    while (ranks < 0).any():
        left = ranks < 0
        ranks[left & ~(dominates & left[:, None]).any(0)] = rank
        rank += 1
    return ranks


def hypervolume(points: Points, reference: NDArray[np.float64]) -> float:
    """Return the volume between points and a reference that they dominate.

    Exact, by slicing along the last objective; meant for up to four objectives and some hundred points.

    Args:
        points: `[N, M]`; what is not better than the reference everywhere adds nothing.
        reference: `[M]`.
    """
    inside = points[(points < reference).all(1)]
    if len(inside) == 0:
        return 0.0
    if points.shape[1] == 1:
        return float(reference[0] - inside.min())
    inside = inside[front_ranks(inside) == 0]
    inside = inside[np.argsort(inside[:, -1], kind="stable")]
    ends = np.append(inside[1:, -1], reference[-1])
    volume = 0.0
    for count, (start, end) in enumerate(zip(inside[:, -1], ends, strict=True), start=1):
        if end > start:
            volume += (end - start) * hypervolume(inside[:count, :-1], reference[:-1])
    return float(volume)


def contributions(points: Points, reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much of the hypervolume each point alone accounts for, `[N]`.

    Args:
        points: `[N, M]`.
        reference: `[M]`.
    """
    whole = hypervolume(points, reference)
    rest = (np.delete(points, index, axis=0) for index in range(len(points)))
    return np.array([whole - hypervolume(others, reference) for others in rest])


def reference_of(points: Points, margin: float = 0.1) -> NDArray[np.float64]:
    """Return a reference that all points dominate: the worst of each objective and a share of its range more.

    Args:
        points: `[N, M]`.
        margin: The share.
    """
    worst, best = points.max(0), points.min(0)
    spread = np.where(worst > best, worst - best, np.maximum(np.abs(worst), 1.0))
    return np.asarray(worst + margin * spread, dtype=np.float64)


def scaled(points: Points) -> Points:
    """Return the points with each objective's range brought to 0..1, so that units do not matter.

    Args:
        points: `[N, M]`.
    """
    best, worst = points.min(0), points.max(0)
    return np.asarray((points - best) / np.where(worst > best, worst - best, 1.0))


def choose(points: Points, count: int) -> list[int]:
    """Return the places of points that together have much hypervolume, one after the other (greedy).

    Each next one adds the most to those before; where none adds anything, the front's rank decides.

    Args:
        points: `[N, M]`.
        count: How many to choose.
    """
    normal = scaled(points)
    reference, ranks = reference_of(normal), front_ranks(normal)
    chosen: list[int] = []
    left = list(range(len(points)))
    while left and len(chosen) < count:
        held = normal[chosen]
        gains = [hypervolume(np.vstack([held, normal[i : i + 1]]), reference) for i in left]
        best = max(zip(gains, left, strict=True), key=lambda pair: (pair[0], -ranks[pair[1]]))[1]
        chosen.append(best)
        left.remove(best)
    return chosen
