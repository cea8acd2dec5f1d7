"""Measured time as what an allocation costs: networks are built, timed once, and remembered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch

from sfg_nas.architecture import Architecture
from sfg_nas.cost import measure_latency
from sfg_nas.fixed.budget import Index
from sfg_nas.fixed.build import build_network
from sfg_nas.fixed.tree import Tree

Clock = Callable[[Architecture], float]
"""Gives the microseconds of one forward pass of an architecture's network."""
Solver = Callable[[float], tuple[Index, float] | None]
_STEPS, _RANKED = 10, 32


@dataclass
class Stopwatch:
    """Times networks of architectures, each once; the record makes a choice repeatable.

    Attributes:
        device: Where to run them.
        batch: Images in a pass.
        repeats: Passes that are timed.
        record: Hash of an architecture to `median` and `spread` in microseconds. What is in it
            already is not measured again.
    """

    device: str = "cpu"
    batch: int = 1
    repeats: int = 30
    record: dict[str, dict[str, float]] = field(default_factory=dict)

    def __call__(self, architecture: Architecture) -> float:
        """Return the median microseconds of a forward pass."""
        if architecture.hash not in self.record:
            images = torch.zeros(self.batch, *architecture.input_shape, device=self.device)
            network = build_network(architecture).to(self.device)
            found = measure_latency(network, images, repeats=self.repeats)
            self.record[architecture.hash] = {
                "median": found.median_seconds * 1e6,
                "spread": found.spread_seconds * 1e6,
            }
        return self.record[architecture.hash]["median"]

    def to_json(self) -> Mapping[str, object]:
        """Return what was measured, where and how."""
        return {
            "device": self.device,
            "batch": self.batch,
            "repeats": self.repeats,
            "threads": torch.get_num_threads(),
            "microseconds": self.record,
        }


def within_time(
    tree: Tree, time: Callable[[Index], float], limit: float, of_filters: Solver | None = None
) -> tuple[Index, float] | None:
    """Return the most probable allocation found whose measured time keeps a limit, and a bound.

    Time has no formula: small kernels wait for one another, so fewer branches may be faster than
    fewer MACs. Trees are timed from the most probable on; the first that keeps the limit is the best
    there is. Else, and for filters, the budgets of what can be solved for are halved in on, each
    answer is timed, and the most probable that keeps the limit is taken.

    Args:
        tree: The trees of layers or blocks.
        time: Gives the measured time of an allocation `[V]`.
        limit: Greatest time.
        of_filters: Gives the best allocation of single filters within a cost, if these may differ.
    """
    bound = np.inf
    if of_filters is None:
        for chosen, score in islice(tree.ranked(), _RANKED):
            bound = score
            if time(chosen) <= limit:
                return chosen, bound
    solvers: list[tuple[Solver, Callable[[Index], float]]] = [
        (tree.solve, tree.connections.cost),
        (lambda most: tree.solve(branches=most), tree.branches),
    ]
    if of_filters is not None:
        bound = float(tree.scores.max(1).sum())
        solvers.append((of_filters, tree.connections.cost))
    found = [_halved(solve, costs, time, limit) for solve, costs in solvers]
    fitting = [chosen for chosen in found if chosen is not None]
    return (max(fitting, key=tree.score), bound) if fitting else None


def _halved(
    solve: Solver, costs: Callable[[Index], float], time: Callable[[Index], float], limit: float
) -> Index | None:
    """Return the answer with the greatest budget found whose time keeps the limit."""
    first = solve(np.inf)
    if first is None or time(first[0]) <= limit:
        return None if first is None else first[0]
    low, high = 0.0, costs(first[0])
    kept: Index | None = None
    for _ in range(_STEPS):
        middle = (low + high) / 2
        found = solve(middle)
        if found is None:
            low = middle
        elif time(found[0]) <= limit:
            kept, low = found[0], middle  # a greater budget has the greater score
        else:
            high = min(middle, costs(found[0]))
    return kept
