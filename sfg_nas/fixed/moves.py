"""Architecture nodes of data movement: selections, concatenations, reshapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor

from sfg_nas.errors import ConversionError, explain
from sfg_nas.fixed.part import Divider, Part
from sfg_nas.operations import Setting
from sfg_nas.sharing.movement import gathered, padding_of
from sfg_nas.sharing.traced import TracedOp
from sfg_nas.sharing.units import Layout

_RESHAPES = ("view", "reshape", "unflatten.int")


def write_movement(part: Part) -> str:
    """Write a step that only moves values.

    Raises:
        ConversionError: The step mixes channels of several owners.
    """
    op, divider = part.op, part.divider
    if op.operation == "detach":  # moves nothing, and is there for gradients
        return part.plain("detach", {})
    if op.operation in ("constant_pad_nd", "pad"):
        return _pad(part)
    if op.operation in ("cat", "concat", "hstack"):
        return _concat(part)
    if op.operation == "stack" and part.axis == _dim(op) % len(op.shape):  # of single channels
        return _concat(part)
    names = list(op.sources)
    direct = divider.layouts.get(names[0])
    axis = part.axis
    if axis is None and direct is not None and direct.axes:  # one unit out of several, perhaps
        axis = direct.axes[0]
    if axis is not None and axis < len(op.shape):
        found = gathered(divider.wiring.network, _Chain(divider), op, divider.layouts[op.name])
        if found is not None and found[1].numel() == op.shape[axis]:
            return _select(part, *found, axis)
    if direct is None:
        raise _lost(op)
    settings = dict(op.settings)
    return part.plain(*_resized(part, direct, settings))


def _select(part: Part, sources: tuple[str, ...], channels: Tensor, axis: int) -> str:
    """Write a step that only picks channels of some tensors, along one dimension."""
    divider = part.divider
    held: dict[int, int] = {}
    nodes: list[str] = []
    before = 0
    for source in sources:
        shape = divider.wiring.op(source).shape
        node = divider.parts[source].get(part.owner)
        if node is not None:
            data = divider.graph.nodes[node]
            own = data["channels"] if data["axis"] == axis else range(shape[axis])
            held.update({before + c: len(held) + i for i, c in enumerate(own)})
            nodes.append(node)
        before += shape[axis]
    if part.axis is None:  # all of one owner
        part.axis, part.channels = axis, list(range(len(channels)))
    positions = [held[c] for c in channels[part.channels].tolist()]
    return part.node("select", {"self": nodes}, {"axis": axis, "positions": positions})


def _concat(part: Part) -> str:
    """Write a concatenation of this owner's channels, along a new dimension if it is one."""
    op = part.op
    nodes = [part.own(s) for s in op.sources if part.owner in part.divider.parts[s]]
    operation = "stack" if op.operation == "stack" else "cat"
    return part.node(operation, {"tensors": nodes}, {"dim": _dim(op) % len(op.shape)})


def _dim(op: TracedOp) -> int:
    """Return the dimension of a concatenation, as it was given."""
    dim = op.settings.get("dim", 1 if op.operation == "hstack" else 0)
    assert isinstance(dim, int)
    return dim


def _pad(part: Part) -> str:
    """Write constant padding; padded channels are zeros that `select` makes."""
    op = part.op
    axis = part.axis if part.axis is not None else 1
    before, after = padding_of(op, axis)
    if before == after == 0 or part.axis is None:
        return part.plain(op.operation, dict(op.settings))
    pad = op.settings["pad"]
    assert isinstance(pad, list)
    along = len(op.shape) - 1 - axis  # pairs are listed from the last dimension on
    elsewhere = any(size for i, size in enumerate(pad) if i // 2 != along)
    if elsewhere or op.settings.get("value") not in (None, 0, 0.0):
        raise _lost(op)
    node = part.divider.parts[next(iter(op.sources))].get(part.owner)
    if node is None:
        return part.node("constant", {}, {})
    where = {c + before: i for i, c in enumerate(part.divider.graph.nodes[node]["channels"])}
    positions = [where.get(c, -1) for c in part.channels]
    return part.node("select", {"self": [node]}, {"axis": axis, "positions": positions})


def _resized(
    part: Part, source: Layout, settings: dict[str, Setting]
) -> tuple[str, Mapping[str, object]]:
    """Return operation and settings with sizes that follow this part's channels."""
    op = part.op
    if op.operation in _RESHAPES:
        shape = [-1 if d == op.free else size for d, size in enumerate(part.shape)]
        return "reshape", {"shape": shape}
    if op.operation == "expand":
        before = part.divider.wiring.op(next(iter(op.sources))).shape
        pad = len(op.shape) - len(before)
        size = [-1 if d >= pad and before[d - pad] == s else s for d, s in enumerate(op.shape)]
        return "expand", {"size": [-1 if d == op.free else s for d, s in enumerate(size)]}
    if op.operation not in ("select.int", "unbind.int") or part.axis is not None:
        return op.operation, settings
    dim = cast(int, settings.get("dim", 0)) % len(source.shape)
    if source.axes != (dim,):
        return op.operation, settings
    index = settings["index"] if op.operation == "select.int" else op.item
    assert isinstance(index, int)
    node = part.own(next(iter(op.sources)))
    channels = part.divider.graph.nodes[node]["channels"]
    return "select.int", {"dim": dim, "index": channels.index(index % source.shape[dim])}


class _Chain(Mapping[str, Layout]):
    """Layouts by operation; those inside a shuffle, which were not kept, count as tangled."""

    def __init__(self, divider: Divider) -> None:
        self.divider = divider

    def __getitem__(self, name: str) -> Layout:
        found = self.divider.layouts.get(name)
        if found is not None:
            return found
        shape = self.divider.wiring.op(name).shape
        return Layout(torch.arange(4).view(2, 2, *[1] * max(len(shape) - 2, 0)), shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self.divider.layouts)

    def __len__(self) -> int:
        return len(self.divider.layouts)


def _lost(op: TracedOp) -> ConversionError:
    return ConversionError(
        explain(
            where=f"distill: module `{op.path}`",
            rule="channels must be divisible among groups at every operation",
            found=f"operation `{op.operation}` of {op.shape}",
            do="rewrite that step with a plain permutation or reshape",
        )
    )
