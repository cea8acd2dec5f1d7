"""Constant mask: filters given to groups in equal shares, without learning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import nn

from sfg_nas.allocation import Allocation
from sfg_nas.baselines.network import make_heads
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import Supernet, convert
from sfg_nas.tasks import Task


def equal_shares(supernet: Supernet) -> Allocation:
    """Return an allocation whose groups own equal runs of each layer's neighbouring filters.

    Where only some filters of a layer are tied to those of another (a shortcut padded with zeros), the narrower layer is
    shared out first and the wider one's other filters make up what is missing.

    Args:
        supernet: The network as a supernet.
    """
    count = len(supernet.groups.sets)
    owners = torch.full((supernet.wiring.variables,), -1)
    for rows in sorted(supernet.wiring.layers.values(), key=len):
        wanted = Counter(filter_ * count // len(rows) for filter_ in range(len(rows)))
        missing = sorted((wanted - Counter(owners[rows].tolist())).elements())
        for row in rows.tolist():
            if owners[row] < 0:
                owners[row] = missing.pop(0)
    return supernet.wiring.allocation(owners)


def constant_mask(
    backbone: Callable[[], nn.Module], tasks: Sequence[Task], image_shape: Sequence[int]
) -> nn.Module:
    """Return the compact network of equal shares among the tasks and all of them (fixed thirds for two tasks).

    Source: Bragman et al. 2019, "Stochastic filter groups", section 4 (constant mask).

    Args:
        backbone: Makes a backbone with new weights from torch's global random state.
        tasks: The tasks.
        image_shape: C, H, W.
    """
    trunk = backbone()
    heads = make_heads(trunk, tasks, image_shape)
    supernet = convert(trunk, heads, torch.zeros(1, *image_shape), groups="specialists")
    return build_network(distill(supernet, equal_shares(supernet)), weights=supernet)
