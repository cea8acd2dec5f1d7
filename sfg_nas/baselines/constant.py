"""Constant mask: filters given to groups in equal shares, without learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from sfg_nas.allocation import Allocation
from sfg_nas.baselines.network import make_heads
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import convert
from sfg_nas.tasks import Task


def equal_shares(like: Allocation) -> Allocation:
    """Return an allocation of the same layers whose groups own equal runs of neighbouring filters.

    Args:
        like: Any allocation of the network.
    """
    count = len(like.groups.sets)
    layers = {
        path: tuple(filter_ * count // len(owners) for filter_ in range(len(owners)))
        for path, owners in like.layers.items()
    }
    return Allocation(groups=like.groups, layers=layers)


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
    return build_network(distill(supernet, equal_shares(supernet.allocation())), weights=supernet)
