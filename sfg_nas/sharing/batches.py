"""The size of the batch among an operation's arguments: followed where it marks whole batches, else refused.

A trace holds plain numbers. A number that grows with the batch would be that of the example for ever, and a network
built from it wrong for every other batch.
"""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

from sfg_nas.operations import Setting, canonical_name
from sfg_nas.sharing.exported import (
    AS_SHAPE,
    OPEN_END,
    RESHAPES,
    arguments_of,
    dimensions,
    free_axis,
    grows,
    mixing,
    path_of,
    refusal,
    shape_of,
)
from sfg_nas.sharing.record import Record

_SHAPED = ("unflatten.int", *RESHAPES, *AS_SHAPE)
_SLICES = ("slice.Tensor", "narrow", "slice_scatter")
_SPLITS = (
    *("split.Tensor", "split.sizes", "split_with_sizes", "unsafe_split.Tensor"),
    *("chunk", "unsafe_chunk", "tensor_split.sections"),
)


def check_numbers(node: fx.Node, name: str) -> None:
    """Raise a ConversionError if an operation's arguments hold the size of the batch where it cannot be followed.

    Args:
        node: An operation, on activations or on constants.
        name: Of the operation.
    """
    if name in _SHAPED or (name in (*_SLICES, *_SPLITS) and _axis(node) is not None):
        return
    if any(grows(value) for _, value in arguments_of(node)):
        raise refusal(path_of(node), f"{node.target} with the size of the batch as a number")


def slice_of_batches(record: Record, node: fx.Node, name: str) -> bool:
    """Record a slice along the batch, and return whether it was one; one of the whole is left as it is.

    The batch is a batch of several copies side by side, `torch.cat([left, right])` say, and the slice takes some of
    them: as a view of `[copies, N, ...]`, which is right for every N.

    Raises:
        ConversionError: It takes something else than whole copies.
    """
    axis = _axis(node) if name in _SLICES else None
    if axis is None:
        return False
    source = node.all_input_nodes[0]
    given = dict(arguments_of(node))
    size = source.meta["val"].shape[axis]
    narrow = name == "narrow"
    start = _share(given.get("start"), size, 0)
    last = _share(given.get("length" if narrow else "end"), size, 1)
    if start is None or last is None or given.get("step", 1) != 1:
        raise mixing(node)
    end = min(start + last if narrow else last, Fraction(1))
    whole = start == 0 and end == 1
    if name == "slice_scatter" and not whole:
        raise mixing(node)
    if whole and narrow:
        record.names[node.name] = record.names[source.name]
    elif not whole:
        record.names[node.name] = _some_copies(record, node, axis, start, end)
    return narrow or not whole


def whole_settings(node: fx.Node, name: str, settings: dict[str, Setting]) -> None:
    """Let a slice of the whole batch end where the batch ends."""
    if name in _SLICES and _axis(node) is not None:
        settings |= {"start": 0, "end": None}


def piece_of_batches(record: Record, node: fx.Node) -> bool:
    """Record a piece of a split along the batch, and return whether it was one.

    Args:
        record: What has been read.
        node: An item of an operation with several results.

    Raises:
        ConversionError: The pieces are not whole copies.
    """
    whole, item = node.args[:2]
    assert isinstance(whole, fx.Node)
    name = canonical_name(whole.target) if isinstance(whole.target, OpOverload) else ""
    axis = _axis(whole) if name in _SPLITS else None
    if axis is None or not isinstance(item, int):
        return False
    size = whole.all_input_nodes[0].meta["val"].shape[axis]
    shares = [_share(piece.shape[axis], size, 1) for piece in whole.meta["val"][: item + 1]]
    known = [share for share in shares if share is not None]
    if len(known) < len(shares):
        raise mixing(whole)
    start, end = sum(known[:-1], Fraction(0)), sum(known, Fraction(0))
    record.names[node.name] = _some_copies(record, whole, axis, start, end)
    return True


def _some_copies(record: Record, node: fx.Node, axis: int, start: Fraction, end: Fraction) -> str:
    copies = math.lcm(start.denominator, end.denominator)
    source = node.all_input_nodes[0]
    shape, path = list(shape_of(source)), path_of(node)
    each = shape[axis] // copies
    apart = [*shape[:axis], copies, each, *shape[axis + 1 :]]
    size: list[Setting] = [*apart]
    size[axis + 1] = -1
    operands = {"self": (record.names[source.name],)}
    name = record.step(path, "view", operands, tuple(apart), settings={"size": size}, free=axis + 1)
    first, last = int(start * copies), int(end * copies)
    apart[axis] = last - first
    settings: dict[str, Setting] = {"dim": axis, "start": first, "end": last}
    name = record.step(
        path, "slice.Tensor", {"self": (name,)}, tuple(apart), settings=settings, free=axis + 1
    )
    shape[axis] = each * (last - first)
    together: list[Setting] = [*shape]
    together[axis] = -1
    return record.step(
        path, "reshape", {"self": (name,)}, tuple(shape), settings={"shape": together}, free=axis
    )


def _axis(node: fx.Node) -> int | None:
    """Return the dimension of the batch if an operation works along it, else None."""
    source = node.all_input_nodes[0]
    if not isinstance(source.meta.get("val"), Tensor):
        return None
    free = free_axis(source)
    return free if free in dimensions(node) else None


def _share(value: object, size: torch.SymInt, default: int) -> Fraction | None:
    """Return which share of a size a position is; None if that depends on the size."""
    if isinstance(value, fx.Node):
        value = value.meta["val"]
    if value is None:
        return Fraction(default)
    if isinstance(value, int) and value >= OPEN_END:
        return Fraction(1)
    own = value.node.expr if isinstance(value, torch.SymInt) else value
    share = own / size.node.expr
    if not share.is_Rational:
        return None
    found = Fraction(int(share.p), int(share.q))
    return found + 1 if found < 0 else found
