"""Architecture nodes of what reads several groups: filter banks, mixing norms, gated heads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sfg_nas.architecture import Parameter
from sfg_nas.fixed.part import Part
from sfg_nas.operations import Kind, default_eps
from sfg_nas.sharing.norms import norm_axes
from sfg_nas.sharing.traced import conv_groups, is_kind


def write_bank(part: Part) -> str:
    """Write the filters of one owner, over the channels they may read."""
    op = part.op
    source = next(iter(op.operands.values()))[0]
    groups = conv_groups(op)
    transposed = is_kind(op, Kind.CONV_TRANSPOSE)
    readable = part.divider.readable
    whole = groups > 1 or part.divider.wiring.is_copied(op.name)
    sources = [part.own(source)] if whole else readable(source, part.owner)
    params: dict[str, Parameter] = {}
    if "bias" in op.statics:
        params["bias"] = part.static("bias", 0)
    if not sources:
        free = {"free": op.free} if op.free else {}
        return part.node("constant", {}, free, params)
    weight = part.static("weight", None)
    filters, channels = (1, 0) if transposed else (0, 1)
    reads = [channel for s in sources for channel in _channels(part, s)]
    count = len(reads)
    share = 1
    if groups > 1:
        # conv-groups have one owner each: this part keeps whole ones
        total = weight["shape"][filters] * (groups if transposed else 1)
        share = groups * len(part.channels) // total if part.axis is not None else groups
    kept = part.shape[-1] if is_kind(op, Kind.LINEAR) else part.shape[1]
    weight["shape"][filters] = kept // (share if transposed else 1)
    weight["shape"][channels] = count // (1 if transposed else share)
    if weight["values"] is not None:  # a kernel that is not trained, such as that of a blur
        value = part.divider.statics[op.statics["weight"]]
        own = part.channels if part.axis is not None else list(range(kept))
        cut = cut_bank(value, own, reads, transposed=transposed, grouped=groups > 1)
        weight["values"] = cut.double().reshape(-1).tolist()
    params = {"weight": weight, **params}
    settings = {**op.settings, "kernel_size": weight["shape"][2:]}
    if groups > 1:
        settings["groups"] = share
        settings["of_groups"] = groups
    if is_kind(op, Kind.LINEAR):
        settings = {}
    return part.node(op.operation, {"input": sources}, settings, params)


def _channels(part: Part, source: str) -> list[int]:
    """Return which input channels a node holds."""
    data = part.divider.graph.nodes[source]
    shape = data["shape"]
    axis = len(shape) if is_kind(part.op, Kind.LINEAR) else 1
    return list(data["channels"] if data["axis"] == axis else range(shape[axis - 1]))


def cut_bank(
    value: Tensor,
    filters: Sequence[int],
    channels: Sequence[int],
    *,
    transposed: bool,
    grouped: bool,
) -> Tensor:
    """Return the part of a filter bank that some filters have for some input channels.

    It may be the bank itself, if that is the whole of it.

    Args:
        value: The whole bank, `[F, C, ...]` (`[C, F, ...]` if transposed).
        filters: Indices of the filters.
        channels: Indices of the input channels.
        transposed: Whether it is that of a transposed convolution.
        grouped: Whether it is that of a grouped one, of which whole conv-groups are kept.
    """
    first, second = (channels, filters) if transposed else (filters, channels)
    some = _some(value, 0, first)
    return some if grouped else _some(some, 1, second)


def _some(value: Tensor, axis: int, places: Sequence[int]) -> Tensor:
    """Return some places of an axis; of all of them in their order no copy, which takes long of a large layer."""
    if list(places) == list(range(value.shape[axis])):
        return value
    return value.index_select(axis, torch.tensor(places, dtype=torch.long, device=value.device))


def write_mixing_norm(part: Part) -> str:
    """Write a norm whose statistics run over all channels its owner may read."""
    op = part.op
    source = op.operands["input"][0]
    own = part.own(source)
    axis = part.axis
    over = norm_axes(op, axis) if axis is not None else None
    if axis is None or over is None:
        return part.plain(op.operation, dict(op.settings))
    read = part.divider.readable(source, part.owner)
    affine_axis = 0
    shape = op.settings.get("normalized_shape")
    if isinstance(shape, list):
        affine_axis = axis - (len(op.shape) - len(shape))
    params = {k: part.static(k, affine_axis) for k in op.statics}
    settings = {
        "eps": op.settings.get("eps", default_eps(op.operation)),
        "over": list(over),
        "axis": axis,
        "norm_groups": op.settings.get("num_groups", 1),
        "of_channels": op.shape[axis],
        "affine_axis": affine_axis,
    }
    return part.node(op.operation, {"input": [own], "read": read}, settings, params)


def write_read(part: Part) -> str:
    """Write the full-width copy of what a gated head, or a gate for one group, reads: zeros where it may not."""
    source = part.op.operands["self"][0]
    nodes = part.divider.readable(source, part.owner)
    if not nodes:
        return part.node("constant", {}, {})
    axis = part.divider.wiring.rows[source][0]
    if axis is None:
        return part.node("clone", {"self": nodes})
    held: list[int] = []
    for node in nodes:
        held.extend(part.divider.graph.nodes[node]["channels"])
    where = {channel: i for i, channel in enumerate(held)}
    part.axis, part.channels = axis, list(range(part.op.shape[axis]))
    settings = {"axis": axis, "positions": [where.get(c, -1) for c in part.channels]}
    layer = part.name if part.op.head is None else None  # a gate reads for each group
    return part.node("select", {"self": nodes}, settings, layer=layer)


def write_own(part: Part) -> str:
    """Write what a gate gives one group for the group's own channels."""
    source = part.own(part.op.operands["self"][0])
    axis = 1
    if part.divider.graph.nodes[source]["shape"][axis - 1] == 1:
        size = [part.shape[axis] if d == axis else -1 for d in range(len(part.shape))]
        return part.node("expand", {"self": [source]}, {"size": size})
    settings = {"axis": axis, "positions": part.channels}
    return part.node("select", {"self": [source]}, settings)
