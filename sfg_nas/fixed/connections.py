"""Who reads whom in a supernet, as counts that allocations are priced by."""

from __future__ import annotations

from typing import Literal

import numpy as np

from sfg_nas.fixed.budget import Connections
from sfg_nas.sharing.cost import macs_of, params_of
from sfg_nas.sharing.names import masked_targets, plain_name, plain_parameters
from sfg_nas.sharing.supernet import Supernet


def connections_of(supernet: Supernet, cost: Literal["macs", "params"] = "macs") -> Connections:
    """Return who reads whom in a supernet, and what a connection costs.

    Args:
        supernet: Any supernet.
        cost: `macs` of one example or `params`.
    """
    wiring, groups = supernet.wiring, supernet.groups
    if cost == "macs":
        prices = macs_of(wiring)
        fixed = float(prices.rows.sum())
    else:
        names = plain_parameters(supernet.network) - supernet.frozen
        prices = params_of(wiring, supernet.static_values(), names)
        # What is no weight between filters and channels, and in no copies, is the same for every allocation.
        weights = (prices.filters.sum(1) * prices.channels.sum(1)).sum()
        own = supernet.network.named_parameters()
        masked = masked_targets(supernet.network)
        sizes = (p.numel() for name, p in own if plain_name(name, masked) in names)
        fixed = sum(sizes) - float(weights) - sum(price for price, _ in prices.copies)
    return Connections(
        prices.filters.numpy(),
        prices.channels.numpy(),
        groups.reads.astype(np.float64),
        len(groups),
        groups.owner_of_image(),
        fixed,
        tuple((price, rows.numpy()) for price, rows in prices.copies),
    )
