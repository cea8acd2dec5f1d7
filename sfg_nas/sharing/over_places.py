"""Linear layers over the places of a map, which mix no channels: written as products with a matrix that is no filter bank.

A mixer multiplies the places of each channel by one matrix, `[N, C, L] -> [N, C, M]`. As a filter bank its filters would be
places, and the channels, all of which such a filter reads, tied to one group. As a product it leaves channels alone.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import fx

from sfg_nas.sharing.traced import TracedNetwork, TracedOp
from sfg_nas.sharing.units import Layout, Units

_TURNED = ":over places"


class OverPlacesError(Exception):
    """A linear layer runs over places. Internal: see `channels`."""

    def __init__(self, name: str) -> None:
        """Remember the operation's name."""
        super().__init__(name)
        self.name = name


def reads_places(units: Units, read: Layout) -> bool:
    """Return whether a linear layer would read the places of channels that may belong to different groups.

    Args:
        units: All units.
        read: What it reads; of the image's places alone it is a filter bank.
    """
    last = len(read.shape) - 1
    return bool(read.axes) and last not in read.axes and units.may_differ(read.labels)


def is_over_places(op: TracedOp) -> bool:
    """Return whether an operation is a product that `without_bank` has written.

    Args:
        op: Any operation.
    """
    return op.statics.get("other", "").endswith(_TURNED)


def without_bank(network: TracedNetwork, name: str) -> TracedNetwork:
    """Return a network in which a linear layer is a product with its turned weight, and a sum with its bias.

    Args:
        network: The traced operations.
        name: Of the linear layer.
    """
    place = next(i for i, op in enumerate(network.ops) if op.name == name)
    op = network.ops[place]
    weight, bias = op.statics["weight"], op.statics.get("bias")
    key = weight + _TURNED
    product = replace(
        op,
        name=name if bias is None else f"{name}{_TURNED}",
        operation="matmul",
        operands={"self": op.operands["input"]},
        statics={"other": key},
        settings={},
    )
    steps = [product]
    if bias is not None:
        operands = {"self": (product.name,)}
        steps.append(
            replace(
                op, operation="add.Tensor", operands=operands, statics={"other": bias}, settings={}
            )
        )
    shapes = {one.name: one.shape for one in network.ops}
    sizes = op.shape[-1], shapes[op.operands["input"][0]][-1]
    graph = fx.Graph()
    own = graph.placeholder(weight)
    own.meta["val"] = torch.empty(sizes, device="meta")
    turned = graph.call_function(torch.ops.aten.t.default, (own,))
    turned.meta["val"] = own.meta["val"].t()
    statics = {**network.statics, own.name: network.statics[weight], key: turned}
    ops = (*network.ops[:place], *steps, *network.ops[place + 1 :])
    return replace(network, ops=ops, statics=statics)
