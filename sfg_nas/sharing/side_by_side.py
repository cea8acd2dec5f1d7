"""Products of activations, such as attention: which dimensions they mix, and where heads lie beside the examples."""

from __future__ import annotations

from sfg_nas.sharing.over_places import is_over_places
from sfg_nas.sharing.traced import BATCH, TracedOp
from sfg_nas.sharing.units import Layout

_OF_MATRICES = ("matmul", "bmm", "scaled_dot_product_attention")


def mixed_dims(op: TracedOp, operand: Layout) -> set[int]:
    """Return the dimensions of an operand along which a product mixes channels.

    Matrices are multiplied for each place of the dimensions before their last two, so that the heads of an attention
    stay apart. Other products mix all that they read.

    Args:
        op: A product.
        operand: What it reads.
    """
    dims = len(operand.shape)
    if is_over_places(op):
        return {dims - 1}
    matrices = op.operation in _OF_MATRICES and not op.statics and 2 <= dims <= len(op.shape)
    if not matrices or op.settings.get("enable_gqa"):  # in which several heads read one
        return set(range(dims))
    return {dims - 2, dims - 1}


def is_repeated(layout: Layout, free: int) -> bool:
    """Return whether channels that share a dimension with the examples lie inside it: the same ones for each example.

    Args:
        layout: Of any value.
        free: The dimension of the examples.
    """
    one, *others = layout.labels.chunk(BATCH, free)
    return all(one.shape == other.shape and bool((one == other).all()) for other in others)
