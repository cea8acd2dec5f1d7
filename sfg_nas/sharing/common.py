"""Parameters that several layers have in common: a norm, a slope or a scale for each channel, called on other filters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import torch
from torch import Tensor

from sfg_nas.operations import BANKS, Kind
from sfg_nas.sharing.traced import TracedNetwork, TracedOp, is_kind
from sfg_nas.sharing.units import Layout, Units

Common = tuple[str, int]  # key of a tensor, and the axis of an operation's output that it follows


def common_values(
    traced: TracedNetwork, state: Mapping[str, Tensor], trained: Collection[str]
) -> Mapping[str, tuple[Common, ...]]:
    """Return what the backbone's operations have in common with others, by the name of the operation.

    The n-th filters of all of them are moved by the n-th number, so they are of one group.

    Args:
        traced: The operations of the network.
        state: Tensors by state-dict key.
        trained: Keys of what training moves.
    """
    found: dict[str, dict[str, int]] = {}
    users: dict[str, set[str]] = {}
    for op in (op for op in traced.ops if op.head is None):
        for key, axis in _along_channels(op, traced, state):
            if key in trained:
                found.setdefault(op.name, {})[key] = axis
                users.setdefault(key, set()).add(op.name)
    shared = {key for key, names in users.items() if len(names) > 1}
    chosen = {n: tuple(c for c in has.items() if c[0] in shared) for n, has in found.items()}
    return {name: common for name, common in chosen.items() if common}


def _along_channels(
    op: TracedOp, traced: TracedNetwork, state: Mapping[str, Tensor]
) -> Iterator[Common]:
    """Yield the tensors that have a number for each place along one axis of what an operation gives."""
    for argument, key in op.statics.items():
        if is_kind(op, *BANKS) and argument == "weight":
            continue  # calls of one bank have the same filters
        target = traced.moved_target(key)
        if target is None or target not in state or state[target].numel() < 2:
            continue
        index = torch.arange(state[target].numel()).view(state[target].shape)
        value = traced.static_value(key, {**state, target: index})
        axis = _axis(op, value)
        in_order = torch.equal(value.reshape(-1), index.reshape(-1))
        if axis is not None and in_order and op.shape[axis] == value.numel():
            yield target, axis


def _axis(op: TracedOp, value: Tensor) -> int | None:
    """Return the axis of an operation's output that a tensor follows, None for none or several."""
    if value.dim() == 1 and (
        is_kind(op, Kind.CHANNEL_NORM) or op.operation in ("group_norm", "prelu")
    ):
        return 1
    if is_kind(op, *BANKS):
        return len(op.shape) - 1 if is_kind(op, Kind.LINEAR) else 1
    places = [d for d, size in enumerate(value.shape) if size > 1]
    axis = places[0] + len(op.shape) - value.dim() if len(places) == 1 else -1
    return axis if axis >= 0 else None


def tie_users(
    units: Units, known: dict[str, Tensor], layout: Layout, common: Iterable[Common]
) -> None:
    """Tie the filters whose values an operation gives to those of the others with which it has tensors in common.

    Args:
        units: All units.
        known: Units of the first user of each tensor; it grows.
        layout: Of what the operation gives.
        common: What it has in common with others.
    """
    for key, axis in common:
        if set(layout.axes) <= {axis}:
            own = layout.units_along(axis)
            units.tie(known.setdefault(f"users of {key}", own), own)
