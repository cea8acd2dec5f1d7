"""From probabilities to a hard allocation: the most probable one, the confident one, or one that fits a budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from sfg_nas.allocation import Allocation
from sfg_nas.errors import ConfigError, explain
from sfg_nas.fixed.budget import Connections, solve
from sfg_nas.sharing.supernet import Supernet

By = Literal["argmax", "threshold", "budget"]
Cost = Literal["macs", "params"]
_TINY = 1e-12


@dataclass(frozen=True)
class Choice:
    """An allocation and how good it is.

    Attributes:
        allocation: One group per filter.
        score: Log-probability of the allocation, summed over sets of tied filters, in nats.
        bound: No allocation that keeps the budget has a greater score.
        cost: Its cost over all connections, which the distilled network never exceeds.
    """

    allocation: Allocation
    score: float
    bound: float
    cost: int


def choose_allocation(
    supernet: Supernet,
    by: By = "argmax",
    *,
    threshold: float = 0.5,
    budget: float | None = None,
    cost: Cost = "macs",
) -> Allocation:
    """Return a hard allocation; the same supernet always gives the same one.

    Args:
        supernet: A trained supernet.
        by: `argmax`: every filter to its most probable group. `threshold`: only if that group's
            probability is at least `threshold`; undecided filters are shared by all tasks.
            `budget`: the most probable allocation that costs at most `budget`.
        threshold: In (0, 1].
        budget: Greatest cost: a share of the cost with everything shared if at most 1, else a count.
        cost: What is limited: `macs` of one example or `params`.

    Raises:
        ConfigError: A value is out of range, no group holds all tasks, or nothing fits the budget.
    """
    if by == "argmax":
        return supernet.allocation()
    if by == "threshold":
        return _confident(supernet, threshold)
    if by == "budget" and budget is not None:
        return choose_within(supernet, budget, cost=cost).allocation
    raise _wrong("by", "`argmax`, `threshold`, or `budget` with a budget is needed", repr(by))


def _confident(supernet: Supernet, threshold: float) -> Allocation:
    if not 0 < threshold <= 1:
        raise _wrong("threshold", "`0 < threshold <= 1` must hold", str(threshold))
    groups = supernet.groups
    if groups.everyone not in groups.sets:
        raise _wrong("by", "a threshold needs a group of all tasks", repr(groups.names))
    with torch.no_grad():
        best, index = supernet.assignments.probabilities().max(1)
    index[best < threshold] = groups.sets.index(groups.everyone)
    return supernet.wiring.allocation(index.cpu())


def choose_within(supernet: Supernet, budget: float, *, cost: Cost = "macs") -> Choice:
    """Return the most probable allocation found within a budget, with a bound on all others.

    The cost is bilinear in the assignments, so the problem is not convex: the allocation comes from
    coordinate ascent on a Lagrangian from several starts, the bound from a linear relaxation
    (McCormick 1976). Where they meet the allocation is the best there is.

    Args:
        supernet: A trained supernet.
        budget: Greatest cost: a share of the cost with everything shared if at most 1, else a count.
        cost: `macs` of one example or `params`.

    Raises:
        ConfigError: The budget is out of range, or nothing fits it.
    """
    if cost not in ("macs", "params"):
        raise _wrong("cost", "`macs` or `params` is needed", repr(cost))
    connections = connections_of(supernet, cost)
    limit = budget * connections.everything if budget <= 1 else budget
    with torch.no_grad():
        p = supernet.assignments.probabilities().double().cpu().numpy()
    scores = np.log(np.maximum(p, _TINY))
    found = solve(connections, scores, limit)
    if not budget > 0 or found is None:
        rule = f"an allocation that costs at most {limit:.0f} {cost} is needed"
        raise _wrong("budget", rule, "none, however the filters are divided")
    chosen, bound = found
    score = float(scores[np.arange(len(chosen)), chosen].sum())
    allocation = supernet.wiring.allocation(torch.from_numpy(chosen))
    return Choice(allocation, score, max(bound, score), round(connections.cost(chosen)))


def connections_of(supernet: Supernet, cost: Cost = "macs") -> Connections:
    """Return who reads whom in a supernet, and what a connection costs.

    Args:
        supernet: Any supernet.
        cost: `macs` of one example or `params`.
    """
    wiring = supernet.wiring
    groups = wiring.groups
    values = supernet.static_values()
    size = wiring.variables + len(groups.extended)
    filters: list[NDArray[np.float64]] = []
    channels: list[NDArray[np.float64]] = []
    fixed = 0.0
    weights = 0
    for layer in wiring.reading:
        numel = values[layer.weight].numel() * len(layer.ops)
        weights += numel
        if layer.grouped:
            fixed += layer.fixed_macs if cost == "macs" else numel
            continue
        each = numel / (len(layer.filters) * len(layer.channels))
        each = float(layer.macs_per_connection) if cost == "macs" else each
        filters.append(torch.bincount(layer.filters, minlength=size).double().numpy() * each)
        channels.append(torch.bincount(layer.channels, minlength=size).double().numpy())
    if cost == "params":
        # what is no weight of a filter bank: biases and norms, the same for every allocation
        fixed += sum(p.numel() for p in supernet.weight_parameters()) - weights
    return Connections(
        np.stack(filters),
        np.stack(channels),
        groups.reads.astype(np.float64),
        len(groups),
        groups.owner_of_image(),
        fixed,
    )


def _wrong(where: str, rule: str, found: str) -> ConfigError:
    place = f"choose_allocation: {where}"
    return ConfigError(explain(where=place, rule=rule, found=found, do="change it"))
