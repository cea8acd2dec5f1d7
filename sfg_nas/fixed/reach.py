"""The best allocation within a limit in which the image reaches every task."""

from __future__ import annotations

import numpy as np
import torch

from sfg_nas.fixed.budget import Array, Connections, Index, solve, split
from sfg_nas.sharing.paths import open_paths
from sfg_nas.sharing.supernet import Supernet

_NEVER = -1e4  # nats: no probability is as small
_ROUNDS = 20


def opened_paths(supernet: Supernet, chosen: Index) -> Index:
    """Return groups `[V]` like the given ones with which the image reaches every task; see `open_paths`."""
    opened = open_paths(supernet.wiring, supernet.assignments, torch.from_numpy(chosen))
    return opened.numpy()


def reaching(
    supernet: Supernet, connections: Connections, scores: Array, limit: float
) -> tuple[Index, float] | None:
    """Return what `solve` finds, made to let the image reach every task; None if nothing tried fits.

    What opens a path, there, in the most probable allocation or in that of the narrowest groups, is held, and the rest is
    chosen anew.

    Args:
        supernet: Its probabilities say what opens a path.
        connections: What allocations cost.
        scores: Gain of each group for each variable `[V, G]`.
        limit: Greatest cost.

    Returns:
        A group for each variable `[V]`, and a bound on all allocations within the limit, without a path too.
    """
    answer = solve(connections, scores, limit)
    if answer is None:
        return None
    found: list[Index] = []
    tried: set[bytes] = set()
    for begin in (answer[0], scores.argmax(1), split(connections, scores)):
        held, chosen = scores.copy(), begin
        for _ in range(_ROUNDS):
            opened = opened_paths(supernet, chosen)
            found += [opened] if connections.cost(opened) <= limit else []
            moved = np.flatnonzero(opened != chosen)
            if not len(moved):  # all are reached, or nothing mends it
                break
            held[moved] = _NEVER
            held[moved, opened[moved]] = scores[moved, opened[moved]]
            state = held.tobytes()
            if state in tried:  # what opens a path does not fit, or where this leads is known
                break
            tried.add(state)
            again = solve(connections, held, limit)
            if again is None:
                break
            chosen = again[0]
    best = max(found, key=lambda c: float(scores[np.arange(len(c)), c].sum()), default=None)
    return None if best is None else (best, answer[1])
