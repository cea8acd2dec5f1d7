"""Who reads whom in a supernet, as counts that allocations are priced by."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from sfg_nas.fixed.budget import Connections
from sfg_nas.sharing.supernet import Supernet


def connections_of(supernet: Supernet, cost: Literal["macs", "params"] = "macs") -> Connections:
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
    if cost == "macs":
        fixed += wiring.mixing_macs
    else:
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
