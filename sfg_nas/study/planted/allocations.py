"""Allocations of a network for planted data: the oracle's, random ones, and any of them at a given cost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from sfg_nas.allocation import Allocation
from sfg_nas.architecture import Architecture
from sfg_nas.data.planted import Truth
from sfg_nas.fixed import distill
from sfg_nas.sharing import Supernet
from sfg_nas.study.planted.roles import right_groups
from sfg_nas.study.study import Study

NARROWEST, WIDEST, STEPS = 1 / 3, 3.0, 6
"""Bounds of the factor on the width, and how many widths are tried."""
CLOSE = 0.02
"""Networks whose MACs differ by less than this share count as equal."""


def oracle_allocation(supernet: Supernet, truth: Truth) -> Allocation:
    """Return the allocation that divides every layer's filters as the factors divide over their roles.

    Args:
        supernet: The network.
        truth: What was planted.
    """
    groups, wiring = supernet.groups, supernet.wiring
    right = right_groups(groups, truth.roles)
    shares = np.bincount(right, minlength=len(groups)) / len(right)
    bounds = torch.from_numpy(shares.cumsum())
    chosen = torch.full((wiring.variables,), -1, dtype=torch.long)
    for rows in wiring.layers.values():
        fresh = [row for row in dict.fromkeys(rows.tolist()) if chosen[row] < 0]
        places = (torch.arange(len(fresh), dtype=torch.float64) + 0.5) / max(len(fresh), 1)
        chosen[fresh] = torch.searchsorted(bounds, places).clamp_max(len(groups) - 1)
    return wiring.allocation(chosen)


def shared_fraction(supernet: Supernet) -> float:
    """Return the share of the expected MACs that filters of more than one task spend, the mean over layers.

    A filter that may read nothing costs nothing and counts for nothing. Of the probabilities alone one could not tell:
    under a cost, filters of the last layer that all tasks share and that find no shared filter to read are free.

    Args:
        supernet: Any supernet whose searchable layers are not grouped convolutions.
    """
    groups, wiring = supernet.groups, supernet.wiring
    table = supernet.assignments.table(supernet.assignments.probabilities().detach())
    reads = torch.from_numpy(groups.reads).to(table)
    several = torch.tensor([len(members) > 1 for members in groups.sets])
    shares = []
    for layer in wiring.reading:
        if layer.name in wiring.layers:
            owners = table[layer.filters].sum(0) * (reads @ table[layer.channels].sum(0))
            macs = owners[: len(groups)]
            shares.append(macs[several].sum() / macs.sum())
    return float(torch.stack(shares).mean())


def at_equal_macs(
    study: Study, choose: Callable[[Supernet], Allocation], macs: int
) -> Architecture:
    """Return the architecture of an allocation at the width that costs the most nearly so much.

    Args:
        study: The study, whose backbone is widened or narrowed.
        choose: Returns the allocation of a network.
        macs: What it shall cost for one image.

    Raises:
        ArchitectureError: If the allocation leaves a task without a path from the image.
    """

    def made(factor: float) -> Architecture:
        backbone = study.config.backbone
        width = backbone.model_copy(update={"width": backbone.width * factor})
        config = study.config.model_copy(update={"backbone": width})
        supernet = study.make_supernet(config, seed=0)
        return distill(supernet, choose(supernet)).checked()

    low, high, factor = NARROWEST, WIDEST, 1.0
    best = found = made(factor)
    for _ in range(STEPS):
        if abs(best.macs / macs - 1) < CLOSE:
            break
        low, high = (factor, high) if found.macs < macs else (low, factor)
        # The cost grows about with the square of the width.
        guess = factor * (macs / found.macs) ** 0.5
        factor = guess if low < guess < high else (low * high) ** 0.5
        found = made(factor)
        best = min(best, found, key=lambda a: abs(a.macs - macs))
    return best
