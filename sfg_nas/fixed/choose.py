"""From probabilities to a hard allocation: the most probable one, the confident one, or one that fits a budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from sfg_nas.allocation import Allocation
from sfg_nas.errors import ConfigError, explain
from sfg_nas.fixed.budget import Connections, Index, relaxed
from sfg_nas.fixed.connections import connections_of
from sfg_nas.fixed.distill import distill
from sfg_nas.fixed.places import Places
from sfg_nas.fixed.reach import opened_paths, reaching
from sfg_nas.fixed.stopwatch import Clock, Stopwatch, within_time
from sfg_nas.fixed.tree import Tree
from sfg_nas.sharing.supernet import Supernet

By = Literal["argmax", "threshold", "budget"]
Cost = Literal["macs", "params", "microseconds"]
Granularity = Literal["filters", "layers", "blocks"]
_TINY = 1e-12


@dataclass(frozen=True)
class Choice:
    """An allocation and how good it is.

    Attributes:
        allocation: One group per filter.
        score: Log-probability of the allocation, summed over sets of tied filters, in nats.
        bound: Nothing else that the rule allows has a greater score; of `threshold`, its own.
        cost: MACs or parameters over all connections, which the distilled network never exceeds, or
            the measured microseconds of a forward pass.
        moved: Sets of tied filters that left the group the rule gives them, since a task had no path from the image.
    """

    allocation: Allocation
    score: float
    bound: float
    cost: int
    moved: int = 0


def choose_allocation(
    supernet: Supernet,
    by: By = "argmax",
    *,
    threshold: float = 0.5,
    budget: float | None = None,
    cost: Cost = "macs",
    granularity: Granularity = "filters",
    clock: Clock | None = None,
) -> Allocation:
    """Return the hard allocation that `choose` chooses; it takes the same arguments."""
    return choose(
        supernet,
        by,
        threshold=threshold,
        budget=budget,
        cost=cost,
        granularity=granularity,
        clock=clock,
    ).allocation


def choose(
    supernet: Supernet,
    by: By = "argmax",
    *,
    threshold: float = 0.5,
    budget: float | None = None,
    cost: Cost = "macs",
    granularity: Granularity = "filters",
    clock: Clock | None = None,
) -> Choice:
    """Return a hard allocation and how good it is; the same supernet always gives the same one.

    Args:
        supernet: A trained supernet.
        by: `argmax`: the most probable allocation. `threshold`: only what is confident parts, the
            rest is shared by all tasks. `budget`: the most probable one that costs at most `budget`.
            Each with few changes, so that every task has a path from the image.
        threshold: In (0, 1]: the least probability of a filter's group; of layers and blocks, the
            least share of the probability that their best partition holds. An undecided layer
            between layers that part follows them: a tree cannot grow together again.
        budget: Greatest cost: a share of the cost with everything shared if at most 1, else a count.
        cost: What is limited: `macs` of one example, `params`, or measured `microseconds`.
        granularity: `filters`: each has its own group. `layers`: each layer is parted among the
            tasks as a whole, ever finer with depth. `blocks`: so is each run of layers of one
            resolution (between two poolings, or a stage of residual blocks).
        clock: What measures microseconds; None for a `Stopwatch` of its own on one image. Times
            differ from run to run: keep a stopwatch's record to choose the same again.

    Raises:
        ConfigError: A value is out of range, no group holds all tasks, or nothing fits the budget.
    """
    if by == "budget" and budget is not None:
        return choose_within(supernet, budget, cost=cost, granularity=granularity, clock=clock)
    if by not in ("argmax", "threshold"):
        raise _wrong("by", "`argmax`, `threshold`, or `budget` with a budget is needed", repr(by))
    if by == "threshold":
        _check_threshold(supernet, threshold)
    connections = connections_of(supernet)
    scores = _scores(supernet)
    if granularity != "filters":
        least = threshold if by == "threshold" else 0.0
        found = _tree(supernet, connections, scores, granularity, least).solve()
        if found is None:
            raise _no_tree(supernet)
        return _choice(supernet, connections, scores, *found)
    if by == "argmax":
        chosen: Index = supernet.assignments.logits.detach().argmax(1).cpu().numpy()
    else:
        chosen = scores.argmax(1)
        everyone = supernet.groups.sets.index(supernet.groups.everyone)
        chosen[np.exp(scores.max(1)) < threshold] = everyone
    opened = opened_paths(supernet, chosen)
    choice = _choice(supernet, connections, scores, opened, -np.inf)
    return replace(choice, moved=int((opened != chosen).sum()))


def choose_within(
    supernet: Supernet,
    budget: float,
    *,
    cost: Cost = "macs",
    granularity: Granularity = "filters",
    clock: Clock | None = None,
) -> Choice:
    """Return the most probable allocation found within a budget, with a bound on all others.

    For filters the cost is bilinear in the assignments, so the problem is not convex: the allocation
    comes from coordinate ascent on a Lagrangian from several starts, the bound from a linear
    relaxation (Sherali and Adams 1992). Where they meet the allocation is the best there is. Trees of layers
    and blocks are found exactly, by branch and bound. Under measured time the answer was measured to
    keep the budget; trees are timed from the most probable on, and the first that fits is exact (after
    32 the best of two families of trees is taken, and the bound is the score of the last).

    Args:
        supernet: A trained supernet.
        budget: Greatest cost: a share of the cost with everything shared if at most 1, else a count.
        cost: `macs` of one example, `params`, or measured `microseconds`.
        granularity: See `choose`.
        clock: See `choose`.

    The image reaches every task.

    Raises:
        ConfigError: The budget is out of range, or nothing fits it.
    """
    if cost not in ("macs", "params", "microseconds"):
        raise _wrong("cost", "`macs`, `params` or `microseconds` is needed", repr(cost))
    connections = connections_of(supernet, "macs" if cost == "microseconds" else cost)
    scores = _scores(supernet)
    if cost == "microseconds":
        return _in_time(supernet, connections, scores, budget, granularity, clock or Stopwatch())
    limit = budget * connections.everything if budget <= 1 else budget
    if granularity == "filters":
        found = _of_filters(supernet, connections, scores, limit)
    else:
        found = _tree(supernet, connections, scores, granularity, 0.0).solve(limit)
    if not budget > 0 or found is None:
        raise _nothing_fits(limit, cost)
    return _choice(supernet, connections, scores, *found)


def _of_filters(
    supernet: Supernet, connections: Connections, scores: NDArray[np.float64], limit: float
) -> tuple[Index, float] | None:
    """Return a choice and a bound on all others; of whole layers, which are few, where no other that was tried fits."""
    found = reaching(supernet, connections, scores, limit)
    if found is not None:
        return found
    whole = _tree(supernet, connections, scores, "layers", 0.0).solve(limit)
    if whole is None:
        return None
    return whole[0], min(relaxed(connections, scores, limit)[0], scores.max(1).sum())


def _in_time(
    supernet: Supernet,
    connections: Connections,
    scores: NDArray[np.float64],
    budget: float,
    granularity: Granularity,
    clock: Clock,
) -> Choice:
    groups, wiring = supernet.groups, supernet.wiring

    def time(chosen: Index) -> float:
        return clock(distill(supernet, wiring.allocation(torch.from_numpy(chosen))))

    limit = budget
    if budget <= 1:
        everyone = groups.sets.index(groups.everyone) if groups.everyone in groups.sets else 0
        limit = budget * time(np.full(wiring.variables, everyone))
    whole = granularity != "filters"
    tree = _tree(supernet, connections, scores, granularity if whole else "layers", 0.0)
    found = None
    if budget > 0:
        of_filters = None if whole else lambda most: reaching(supernet, connections, scores, most)
        found = within_time(tree, time, limit, of_filters)
    if found is None:
        raise _nothing_fits(limit, "microseconds")
    choice = _choice(supernet, connections, scores, *found)
    return replace(choice, cost=round(time(found[0])))


def _tree(
    supernet: Supernet,
    connections: Connections,
    scores: NDArray[np.float64],
    granularity: Granularity,
    threshold: float,
) -> Tree:
    if granularity not in ("layers", "blocks"):
        rule = "`filters`, `layers` or `blocks` is needed"
        raise _wrong("granularity", rule, repr(granularity))
    layers = {name: rows.tolist() for name, rows in supernet.wiring.layers.items()}
    blocks = _resolutions(supernet) if granularity == "blocks" else None
    places = Places.of(connections, layers, blocks)
    return Tree(connections, places, supernet.groups, scores, threshold)


def _resolutions(supernet: Supernet) -> dict[str, object]:
    """Return the size of the maps that each layer gives, () where it gives none."""
    wiring = supernet.wiring
    return {
        layer.name: wiring.op(layer.ops[0]).shape[2:]
        for layer in wiring.reading
        if layer.name in wiring.layers
    }


def _scores(supernet: Supernet) -> NDArray[np.float64]:
    """Return the log-probability of each group for each variable `[V, G]`."""
    with torch.no_grad():
        p = supernet.assignments.probabilities().cpu().double().numpy()
    found: NDArray[np.float64] = np.log(np.maximum(p, _TINY))
    return found


def _choice(
    supernet: Supernet,
    connections: Connections,
    scores: NDArray[np.float64],
    chosen: Index,
    bound: float,
) -> Choice:
    score = float(scores[np.arange(len(chosen)), chosen].sum())
    allocation = supernet.wiring.allocation(torch.from_numpy(chosen))
    return Choice(allocation, score, max(bound, score), round(connections.cost(chosen)))


def _check_threshold(supernet: Supernet, threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise _wrong("threshold", "`0 < threshold <= 1` must hold", str(threshold))
    groups = supernet.groups
    if groups.everyone not in groups.sets:
        raise _wrong("by", "a threshold needs a group of all tasks", repr(groups.names))


def _nothing_fits(limit: float, cost: Cost) -> ConfigError:
    rule = f"an allocation that costs at most {limit:.0f} {cost} and leaves every task a path is needed"
    return _wrong("budget", rule, "none of those that were tried")


def _no_tree(supernet: Supernet) -> ConfigError:
    rule = "groups that hold every task once are needed"
    return _wrong("granularity", rule, f"none for every layer, of {list(supernet.groups.names)}")


def _wrong(where: str, rule: str, found: str) -> ConfigError:
    place = f"choose_allocation: {where}"
    return ConfigError(explain(where=place, rule=rule, found=found, do="change it"))
