"""Allocations that were not learned, and learned ones carried over to another width: the controls.

Filters that are tied (by a residual add, say) move together. A *block* is a set of rows of the assignment table that
occur in the same layers; in a plain chain of convolutions it is a layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sfg_nas.allocation import Allocation
from sfg_nas.errors import ArchitectureError, explain
from sfg_nas.fixed import distill
from sfg_nas.sharing import Start, Supernet

_TRIES = 50
"""Draws after which a shuffle that cuts no task off from the image is given up."""


def blocks(supernet: Supernet) -> list[Tensor]:
    """Return the blocks of a network, each as its rows of the assignment table, in the order of the layers.

    Args:
        supernet: The network as a supernet.
    """
    places: dict[int, tuple[str, ...]] = {}
    for name, rows in supernet.wiring.layers.items():
        for row in rows.tolist():
            places[row] = (*places.get(row, ()), name)
    found: dict[tuple[str, ...], list[int]] = {}
    for row, where in places.items():
        found.setdefault(where, []).append(row)
    return [torch.tensor(sorted(rows)) for rows in found.values()]


def tree_split(supernet: Supernet, split: int) -> Allocation:
    """Return the classic branched network: shared before a layer, from there on one branch for each task.

    The filters of each branching layer are divided evenly among the tasks, so that the whole keeps the width of the
    backbone; set it beside others at equal MACs. Filters that a residual block ties to shared ones stay shared, so that
    behind a split in the middle of a residual stage its blocks have nothing to read, and drop out; split before a stage.

    Source: the tree-structured sharing that Lu et al. 2017, "Fully-adaptive feature sharing in multi-task networks",
    and Vandenhende et al. 2019, "Branched multi-task networks", search over; here every place of the one split.

    Args:
        supernet: The network as a supernet; each task needs a group of its own.
        split: Layers before the branches; 0 separates all, the number of layers shares all.

    Raises:
        ConfigError: If there is no such layer, or a task has no group of its own.
    """
    layers = {name: rows.tolist() for name, rows in supernet.wiring.layers.items()}
    start = Start(kind="branched", split=split, confidence=0.99)
    p = start.probabilities(supernet.groups, layers, supernet.wiring.variables, seed=0)
    return supernet.wiring.allocation(p.argmax(1))


def permuted(supernet: Supernet, allocation: Allocation, seed: int) -> Allocation:
    """Return an allocation with the same number of filters of each group in every layer, drawn at random.

    In a plain chain of convolutions this is the same network up to the order of its filters: trained from scratch, it
    differs from the other by chance alone, and so measures what chance does.

    Args:
        supernet: The network as a supernet.
        allocation: Whose counts are kept.
        seed: Of the draw.
    """
    owners = supernet.wiring.variables_of(allocation)
    generator = torch.Generator().manual_seed(seed)
    drawn = owners.clone()
    for rows in blocks(supernet):
        drawn[rows] = owners[rows[torch.randperm(len(rows), generator=generator)]]
    return supernet.wiring.allocation(drawn)


def shuffled(supernet: Supernet, allocation: Allocation, seed: int) -> Allocation:
    """Return an allocation whose shares of groups are those of another one, given to other layers at random.

    Args:
        supernet: The network as a supernet.
        allocation: Whose shares are dealt out again; they are rounded to whole filters.
        seed: Of the draw.

    Raises:
        ArchitectureError: If no draw leaves every task a path from the image.
    """
    places = blocks(supernet)
    shares = _shares(supernet, allocation, places)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(_TRIES):
        order = torch.randperm(len(places), generator=generator).tolist()
        drawn = _filled(supernet, places, [shares[i] for i in order])
        if _reaches_all(supernet, drawn):
            return drawn
    raise ArchitectureError(
        explain(
            where="shuffled allocation",
            rule="every task must have a path from the image",
            found=f"none in {_TRIES} draws",
            do="leave this control out",
        )
    )


def resized(supernet: Supernet, allocation: Allocation, like: Supernet) -> Allocation:
    """Return an allocation of a network of another width with the same shares of groups in every layer.

    Args:
        supernet: The network of the new width as a supernet.
        allocation: Of the network of the old width.
        like: That network as a supernet.

    Raises:
        ArchitectureError: If the two have different layers.
    """
    old, new = blocks(like), blocks(supernet)
    if len(old) != len(new):
        rule = "the networks must have the same layers"
        found, do = f"{len(old)} and {len(new)} blocks of filters", "use one backbone at two widths"
        raise ArchitectureError(explain(where="resized allocation", rule=rule, found=found, do=do))
    return _filled(supernet, new, _shares(like, allocation, old))


def _shares(supernet: Supernet, allocation: Allocation, places: Sequence[Tensor]) -> list[Tensor]:
    """Return the share of each group `[G]` in each block."""
    owners = supernet.wiring.variables_of(allocation)
    groups = len(supernet.groups)
    return [torch.bincount(owners[rows], minlength=groups) / len(rows) for rows in places]


def _filled(supernet: Supernet, places: Sequence[Tensor], shares: Sequence[Tensor]) -> Allocation:
    owners = torch.zeros(supernet.wiring.variables, dtype=torch.long)
    for rows, share in zip(places, shares, strict=True):
        owners[rows] = torch.repeat_interleave(_whole(share, len(rows)))
    return supernet.wiring.allocation(owners)


def _whole(shares: Tensor, count: int) -> Tensor:
    """Return whole numbers `[G]` that sum to `count` and are nearest to the shares (largest remainders)."""
    exact = shares.double() * count
    whole = exact.floor().long()
    left = count - int(whole.sum())
    most = (exact - whole).argsort(descending=True, stable=True)[:left]
    whole[most] += 1
    return whole


def _reaches_all(supernet: Supernet, allocation: Allocation) -> bool:
    try:
        distill(supernet, allocation).checked()
    except ArchitectureError:
        return False
    return True
