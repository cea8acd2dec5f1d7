"""What single operations of a traced network cost, in multiply-accumulate operations (MACs) for one example."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from sfg_nas.operations import BANKS, Kind
from sfg_nas.operations_shapes import product_macs
from sfg_nas.sharing.traced import BATCH, TracedOp, is_kind


def bank_macs(op: TracedOp, shapes: Mapping[str, tuple[int, ...]], weight: Tensor) -> int:
    """Return the MACs of a convolution or linear layer with all its filters and channels.

    Args:
        op: Of a kind in `BANKS`.
        shapes: Shapes of the results of all operations, batch included.
        weight: Its filter bank `[F, C, ...]` (`[C, F, ...]` if transposed).
    """
    transposed = is_kind(op, Kind.CONV_TRANSPOSE)
    places = shapes[op.operands["input"][0]] if transposed else op.shape
    return math.prod(places) // BATCH * (weight.numel() // max(weight.shape[0], 1))


def mixing_macs(op: TracedOp, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return the MACs of a product of activations (attention too), else 0.

    Args:
        op: Any operation.
        shapes: Shapes of the results of all operations, batch included.
    """
    if not is_kind(op, Kind.MIX):
        return 0
    found = {k: [shapes[s] for s in names] for k, names in op.operands.items()}
    if not op.statics:
        return product_macs(op.operation, found, op.settings) // BATCH
    left = found.get("mat1" if op.operation == "addmm" else "self")
    right = found.get("other") or found.get("mat2")
    if left:
        return math.prod(op.shape) * left[0][-1] // BATCH
    return math.prod(op.shape) * right[0][-2:][0] // BATCH if right else 0


def macs_of(
    op: TracedOp, shapes: Mapping[str, tuple[int, ...]], weights: Mapping[str, Tensor]
) -> int:
    """Return the MACs of any operation with all its filters and channels; only banks and products have any.

    Args:
        op: The operation.
        shapes: Shapes of the results of all operations, batch included.
        weights: Values of all filter banks by static key.
    """
    if is_kind(op, *BANKS):
        return bank_macs(op, shapes, weights[op.statics["weight"]])
    return mixing_macs(op, shapes)
