"""Data movement, followed by running the same operation on labels or indices."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from sfg_nas.operations import Kind, run_operation, vocabulary
from sfg_nas.sharing.traced import TracedNetwork, TracedOp, is_kind
from sfg_nas.sharing.units import Layout


def reduced_dims(op: TracedOp, dimensions: int) -> set[int]:
    """Return the dimensions that a reduction runs over."""
    dims = op.settings.get("dim")
    if dims is None or dims == []:
        return set(range(dimensions))
    values = dims if isinstance(dims, list) else [dims]
    return {int(d) % dimensions for d in values}  # type: ignore[arg-type]


def padding_of(op: TracedOp, axis: int) -> tuple[int, int]:
    """Return how many positions a constant padding adds before and after along an axis."""
    pad = op.settings["pad"]
    assert isinstance(pad, list)
    index = 2 * (len(op.shape) - 1 - axis)
    if index + 1 >= len(pad):
        return 0, 0
    return int(pad[index]), int(pad[index + 1])  # type: ignore[arg-type]


def move(op: TracedOp, tensors: list[Tensor]) -> Tensor:
    """Return what a movement operation makes of label or index tensors."""
    arguments: dict[str, Tensor | list[Tensor]] = {}
    position = 0
    listed = {"cat", "concat", "stack", "hstack"}
    for name, names in op.operands.items():
        chosen = tensors[position : position + len(names)]
        position += len(names)
        arguments[name] = chosen if op.operation in listed else chosen[0]
    result = run_operation(vocabulary()[op.operation], arguments, op.settings)
    if op.item is not None:
        result = result[op.item]
    assert isinstance(result, Tensor)
    return result


def gathered(
    network: TracedNetwork, layouts: Mapping[str, Layout], op: TracedOp, result: Layout
) -> tuple[tuple[str, ...], Tensor] | None:
    """Return `(sources, channels)` if movements only pick channels of some tensors.

    Channel shuffle is the model case: between two tensors of the same shape whose labels vary
    along one axis stand steps in which they vary along two. `channels` index into the channels of
    all sources, one after another. Returns None if the steps do more.
    """
    by_name = {o.name: o for o in network.ops}
    chain = [op]
    sources = tuple(op.sources)
    while len(sources) == 1 and len(layouts[sources[0]].axes) > 1:
        step = by_name[sources[0]]
        if not is_kind(step, Kind.MOVEMENT):
            return None
        chain.append(step)
        sources = tuple(step.sources)
    starts = [layouts[source] for source in sources]
    axes = {axis for start in starts for axis in start.axes}
    if len(axes) != 1 or len(starts[0].shape) != len(result.shape):
        return None
    axis = axes.pop()
    shapes = [start.shape for start in starts]
    if len({(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}) > 1:
        return None
    whole = list(shapes[0])
    whole[axis] = sum(shape[axis] for shape in shapes)
    index = torch.arange(math.prod(whole)).view(whole)
    moved = [*torch.split(index, [shape[axis] for shape in shapes], axis)]
    for step in reversed(chain):
        moved = [move(step, moved)]
    first = moved[0].movedim(axis, 0).reshape(moved[0].shape[axis], -1)[:, 0]
    channels = (first // math.prod(whole[axis + 1 :])) % whole[axis]
    same = index.index_select(axis, channels)
    return (sources, channels) if torch.equal(same, moved[0]) else None
