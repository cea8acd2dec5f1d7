"""The integer program of a tree: one option for each place, and only allowed pairs of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_matrix

from sfg_nas.fixed.budget import Array, Index

_OPTIONS = {"mip_rel_gap": 0.0, "node_limit": 20_000}
"""Of branch and bound; a number of nodes, not a time, so that the answer is always the same."""


class Program:
    """An integer program: one option for each place, and for each edge one allowed pair of them."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        self.columns = int(self.starts[-1])
        self.entries: list[tuple[int, int, float]] = []
        self.low: list[float] = []
        self.high: list[float] = []
        for place, size in enumerate(sizes):
            columns = range(int(self.starts[place]), int(self.starts[place]) + size)
            self._row([(column, 1.0) for column in columns], 1.0, 1.0)

    def couple(self, reader: int, source: int, pairs: Sequence[tuple[int, int]]) -> None:
        """Allow two places these pairs of options only."""
        new = {pair: self.columns + k for k, pair in enumerate(pairs)}
        self.columns += len(pairs)
        for place, side in ((reader, 0), (source, 1)):
            for option in range(int(self.starts[place + 1] - self.starts[place])):
                held = [(column, 1.0) for pair, column in new.items() if pair[side] == option]
                self._row([*held, (int(self.starts[place]) + option, -1.0)], 0.0, 0.0)

    def below(self, costs: Sequence[float] | Array, limit: float) -> None:
        """Keep the sum of the costs of the options, and of the pairs in their order, at a limit."""
        self._row([(column, float(cost)) for column, cost in enumerate(costs)], -np.inf, limit)

    def without(self, picks: Sequence[int]) -> None:
        """Forbid one choice of options."""
        taken = [(int(start) + pick, 1.0) for start, pick in zip(self.starts, picks, strict=False)]
        self._row(taken, -np.inf, len(picks) - 1.0)

    def _row(self, entries: Sequence[tuple[int, float]], low: float, high: float) -> None:
        self.entries += [(len(self.low), column, value) for column, value in entries]
        self.low.append(low)
        self.high.append(high)

    def solve(self, values: Array) -> tuple[list[int], float] | None:
        """Return the option of each place, and by how much another choice could be better."""
        from scipy.optimize import Bounds, LinearConstraint, milp  # late: half a second

        rows, columns, numbers = zip(*self.entries, strict=True)
        matrix = coo_matrix((numbers, (rows, columns)), (len(self.low), self.columns))
        weights = np.zeros(self.columns)
        weights[: len(values)] = -values
        found = milp(
            weights,
            constraints=LinearConstraint(matrix, self.low, self.high),
            integrality=np.arange(self.columns) < len(values),
            bounds=Bounds(0, 1),
            options=_OPTIONS,
        )
        if found.x is None:
            return None
        ends = zip(self.starts, self.starts[1:], strict=False)
        picks = [int(found.x[start:end].argmax()) for start, end in ends]
        bound = found.fun if found.mip_dual_bound is None else found.mip_dual_bound
        return picks, max(float(found.fun) - float(bound), 0.0)


def filled(scores: Array, layers: Sequence[Index]) -> Index | None:
    """Return the best choice `[V]` of columns such that each layer has every one; None if it cannot."""
    from scipy.optimize import Bounds, LinearConstraint, milp  # late: half a second

    count, branches = scores.shape
    each = np.arange(count * branches)
    simplex = coo_matrix((np.ones(count * branches), (each // branches, each)))
    rows, columns = [], []
    for layer, own in enumerate(layers):
        for branch in range(branches):
            rows += [layer * branches + branch] * len(own)
            columns += (own * branches + branch).tolist()
    shape = (len(layers) * branches, count * branches)
    present = coo_matrix((np.ones(len(rows)), (rows, columns)), shape)
    found = milp(
        -scores.reshape(-1),
        constraints=[LinearConstraint(simplex, 1, 1), LinearConstraint(present, 1, np.inf)],
        integrality=np.ones(count * branches),
        bounds=Bounds(0, 1),
        options=_OPTIONS,
    )
    if found.x is None:
        return None
    picks: Index = found.x.reshape(count, branches).argmax(1)
    return picks
