"""Data movement, followed by running the same operation on labels or indices."""

from __future__ import annotations

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
) -> tuple[str, Tensor] | None:
    """Return `(source, channels)` if a chain of movements only reorders one tensor's channels.

    Channel shuffle is the model case: between two tensors of the same shape whose labels vary
    along one axis stand steps in which they vary along two. Returns None if the chain does more.
    """
    by_name = {o.name: o for o in network.ops}
    chain = [op]
    source = next(iter(op.sources))
    while len(layouts[source].axes) > 1:
        step = by_name[source]
        if not is_kind(step, Kind.MOVEMENT) or len(list(step.sources)) != 1:
            return None
        chain.append(step)
        source = next(iter(step.sources))
    start = layouts[source]
    if not start.axes or len(start.shape) != len(result.shape):
        return None
    axis = start.axes[0]
    index = torch.arange(int(torch.tensor(start.shape).prod())).view(start.shape)
    moved = index
    for step in reversed(chain):
        moved = move(step, [moved])
    per_step = int(torch.tensor(start.shape[axis + 1 :]).prod())
    first = moved.movedim(axis, 0).reshape(moved.shape[axis], -1)[:, 0]
    channels = (first // per_step) % start.shape[axis]
    same = index.index_select(axis, channels)
    return (source, channels) if torch.equal(same, moved) else None
