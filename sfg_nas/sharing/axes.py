"""Which axes of a network's tensors follow its channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sfg_nas.operations import BANKS, Kind
from sfg_nas.sharing.cost import affine_axis
from sfg_nas.sharing.counts import Counts, keeps_groups
from sfg_nas.sharing.traced import TracedNetwork, TracedOp, conv_groups, is_kind
from sfg_nas.sharing.units import Layout

_PREFIX = "backbone."
_Found = tuple[str, int, Tensor, bool]  # key, axis, roots, whether a bank reads them
_ALIGNED = (Kind.CHANNEL_NORM, Kind.MIXING_NORM, Kind.POINTWISE)


@dataclass(frozen=True)
class Axis:
    """One axis of a tensor that follows channels.

    Attributes:
        key: Of the tensor in the backbone's state dict.
        axis: Which of its axes.
        roots: Root of each position `[n]`.
        bank: Whether it is the weight of a filter bank.
        reads: Whether the channels are those that the bank reads.
    """

    key: str
    axis: int
    roots: Tensor
    bank: bool
    reads: bool


def tensor_axes(
    traced: TracedNetwork, counts: Counts, state: Mapping[str, Tensor]
) -> Iterator[Axis]:
    """Yield every axis of the backbone's parameters and buffers that follows channels, once.

    Args:
        traced: The operations of the backbone with heads.
        counts: Its units.
        state: Tensors by key, those of the backbone with the prefix `backbone.`.
    """
    seen: set[tuple[str, int]] = set()
    for op in traced.ops:
        for argument in op.statics:
            of_bank = argument == "weight" and is_kind(op, *BANKS)
            found = _bank_axes if of_bank else _other_axes
            for target, axis, roots, reads in found(traced, counts, state, op, argument):
                if (target, axis) not in seen and target.startswith(_PREFIX):
                    seen.add((target, axis))
                    yield Axis(target.removeprefix(_PREFIX), axis, roots, of_bank, reads)


def _bank_axes(
    traced: TracedNetwork, counts: Counts, state: Mapping[str, Tensor], op: TracedOp, argument: str
) -> Iterator[_Found]:
    """Yield the axes of a filter bank, and of what it is computed from; none of one that runs along the channels."""
    if is_along_channels(op, counts):
        return
    key = op.statics[argument]
    weight = traced.static_value(key, state)
    transposed = is_kind(op, Kind.CONV_TRANSPOSE)
    read, filters = channels_read(op, counts), filters_made(op, counts)
    found: dict[int, Tensor] = {0: read, 1: filters} if transposed else {0: filters, 1: read}
    parts = conv_groups(op)
    if parts > 1:
        found[1] = found[1][: weight.shape[1]]
        if counted(op, len(read)):  # conv-groups come and go as they are
            del found[1]
    moved = traced.moved_target(key) if traced.static_target(key) is None else None
    for target in sorted(traced.static_targets(key)):
        value = state.get(target)
        if value is None:
            continue
        for axis, roots in found.items():
            reads = axis == int(not transposed)
            if target == moved:
                own = _followed(traced, key, state, target, _along(roots, axis, weight))
                yield from ((target, place, labels, reads) for place, labels in own)
                continue
            like = value.dim() == weight.dim() or (value.dim() == 1 and axis == int(transposed))
            place = axis if value.dim() == weight.dim() else 0
            if like and value.shape[place] == len(roots):
                yield target, place, roots, reads


def counted(op: TracedOp, channels: int) -> bool:
    """Return whether it is the number of conv-groups that changes, not what each of them reads."""
    parts = conv_groups(op)
    return parts > 1 and not keeps_groups(parts, channels)


def is_along_channels(op: TracedOp, counts: Counts) -> bool:
    """Return whether a filter bank has the channels of a map for its places."""
    source = counts.layouts[op.operands["input"][0]]
    read = len(source.shape) - 1 if is_kind(op, Kind.LINEAR) else 1
    return any(axis not in (0, read) for axis in source.axes)


def channels_read(op: TracedOp, counts: Counts) -> Tensor:
    """Return the root of each channel that a filter bank reads `[C]`."""
    source = counts.layouts[op.operands["input"][0]]
    return source.units_along(len(source.shape) - 1 if is_kind(op, Kind.LINEAR) else 1)


def filters_made(op: TracedOp, counts: Counts) -> Tensor:
    """Return the root of each filter of a filter bank `[F]`."""
    return counts.layouts[op.name].units_along(len(op.shape) - 1 if is_kind(op, Kind.LINEAR) else 1)


def _other_axes(
    traced: TracedNetwork, counts: Counts, state: Mapping[str, Tensor], op: TracedOp, argument: str
) -> Iterator[_Found]:
    """Yield the axes of a bias, of what a norm scales with, of a slope for each channel."""
    layout = counts.layouts[op.name]
    if len(layout.axes) != 1 or not is_kind(op, *BANKS, *_ALIGNED):
        return
    if is_kind(op, *BANKS) and is_along_channels(op, counts):
        return
    key = op.statics[argument]
    value = traced.static_value(key, state)
    [axis] = layout.axes
    along = affine_axis(op, argument, axis, value)
    roots = layout.units_along(axis)
    if along is None or value.shape[along] != len(roots):
        return
    labels = _along(roots, along, value)
    for target in sorted(traced.static_targets(key)):
        for place, own in _followed(traced, key, state, target, labels):
            yield target, place, own, False


def _along(roots: Tensor, axis: int, value: Tensor) -> Tensor:
    """Return the root of each number of a tensor, one of whose axes follows channels."""
    view = [-1 if d == axis else 1 for d in range(value.dim())]
    return roots.view(view).expand(value.shape)


def _followed(
    traced: TracedNetwork, key: str, state: Mapping[str, Tensor], target: str, labels: Tensor
) -> Iterator[tuple[int, Tensor]]:
    """Yield the axis of a parameter that follows channels as what is computed from it does, if one does."""
    places = _origins(traced, key, state, target)
    if places is None:
        return
    of_target = torch.zeros(state[target].numel(), dtype=torch.long)
    of_target[places.reshape(-1)] = labels.reshape(-1)
    inside = Layout.of(of_target.view(state[target].shape))
    if len(inside.axes) == 1:
        yield inside.axes[0], inside.units_along(inside.axes[0])


def _origins(
    traced: TracedNetwork, key: str, state: Mapping[str, Tensor], target: str
) -> Tensor | None:
    """Return the place in a parameter of every number of a value that is computed from it.

    Found by trying with an index in place of the parameter; a value of its shape follows it anyway.
    """
    if target not in state:
        return None
    parameter, value = state[target], traced.static_value(key, state)
    index = torch.arange(parameter.numel(), dtype=torch.double).view(parameter.shape)
    if traced.static_target(key) is None:
        tried = index.to(parameter if parameter.is_floating_point() else index)
        numbers = traced.static_value(key, {**state, target: tried}).double().cpu()
        if set(numbers.reshape(-1).tolist()) == set(index.reshape(-1).tolist()):
            return numbers.long()
    return index.long() if value.shape == parameter.shape else None
