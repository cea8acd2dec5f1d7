"""Parameters that several filters have in common: a norm called on other filters, a weight that is turned and used again."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

from sfg_nas.operations import BANKS, Kind, canonical_name, vocabulary
from sfg_nas.sharing.traced import TracedNetwork, TracedOp, conv_groups, is_kind, size_of
from sfg_nas.sharing.units import Layout, Units


@dataclass(frozen=True, eq=False)
class Use:
    """Where the numbers of parameters stand in a value that an operation uses.

    Attributes:
        places: For each number of the value which number of a parameter it is, from 1; 0 for none. Of the weight
            of a filter bank one row for each filter.
        axis: The axis of the operation's output that the first axis of `places` follows; None if `places` are
            laid over the output, aligned at its last axis.
    """

    places: Tensor
    axis: int | None


@dataclass(frozen=True)
class Common:
    """What the operations of a backbone have in common.

    Attributes:
        uses: Of the parameters in question, by the name of the operation.
        count: How many numbers these parameters have.
    """

    uses: Mapping[str, tuple[Use, ...]] = field(default_factory=dict)
    count: int = 0


def common_values(
    traced: TracedNetwork, state: Mapping[str, Tensor], trained: Collection[str]
) -> Common:
    """Return where filters of the backbone have numbers in common.

    Filters that one number moves are of one group. A number that all filters of an operation use (one slope, a kernel
    for all channels) is of none of them.

    Args:
        traced: The operations of the network.
        state: Tensors by state-dict key.
        trained: Keys of what training moves.
    """
    ops = [op for op in traced.ops if op.head is None]
    starts, count = _numbered(_in_question(ops, traced, state, trained), state)
    found: dict[str, tuple[Use, ...]] = {}
    for op in ops if starts else ():
        uses = (
            _use(op, argument, key, traced, state, starts) for argument, key in op.statics.items()
        )
        known = tuple(use for use in uses if use is not None)
        if known:
            found[op.name] = known
    return Common(found, count)


def _in_question(
    ops: Iterable[TracedOp],
    traced: TracedNetwork,
    state: Mapping[str, Tensor],
    trained: Collection[str],
) -> list[str]:
    """Return the keys of the parameters that are used in several ways, or several times in one value."""
    users: dict[str, set[str]] = {}
    moved = {key for key in state.keys() & set(trained) if state[key].numel() > 1}
    for op in ops:
        for argument, key in op.statics.items():
            source = traced.statics[key]
            for target in traced.static_targets(key) & moved:
                own = users.setdefault(target, set())
                own.add(key if _is_weight(op, argument) else f"{op.name} {argument}")
                if isinstance(source, fx.Node) and (
                    source.meta["val"].numel() > state[target].numel()
                ):
                    own.add(f"copies in {key}")
    return sorted(target for target, own in users.items() if len(own) > 1)


def _is_weight(op: TracedOp, argument: str) -> bool:
    return argument == "weight" and is_kind(op, *BANKS)


def _numbered(targets: Iterable[str], state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], int]:
    """Return parameters whose numbers are counted through, from 1, and how many they are."""
    starts, count = {}, 0
    for target in targets:
        size = state[target].numel()
        starts[target] = torch.arange(count + 1, count + size + 1).view(state[target].shape)
        count += size
    return starts, count


def _use(
    op: TracedOp,
    argument: str,
    key: str,
    traced: TracedNetwork,
    state: Mapping[str, Tensor],
    starts: Mapping[str, Tensor],
) -> Use | None:
    places = _followed(traced, key, state, starts)
    if not isinstance(places, Tensor) or not places.dim():
        return None
    if key in traced.batched:
        dim, count = traced.batched[key]
        places = places.narrow(dim, 0, count)
    if is_kind(op, *BANKS):
        axis = len(op.shape) - 1 if is_kind(op, Kind.LINEAR) else 1
        if _is_weight(op, argument):
            places = _by_filter(op, places)
        return Use(places, axis) if len(places) == op.shape[axis] else None
    norm = is_kind(op, Kind.CHANNEL_NORM) or op.operation in ("group_norm", "prelu")
    return Use(places, 1 if norm and places.dim() == 1 else None)


def _by_filter(op: TracedOp, places: Tensor) -> Tensor:
    """Return a weight's places with one row for each filter `[F, n]`."""
    if is_kind(op, Kind.CONV_TRANSPOSE):  # [C, F / parts, ...]
        parts = conv_groups(op)
        return places.reshape(parts, -1, *places.shape[1:]).transpose(1, 2).flatten(0, 1).flatten(1)
    return places.reshape(len(places), -1)


def _followed(
    traced: TracedNetwork, key: str, state: Mapping[str, Tensor], starts: Mapping[str, Tensor]
) -> object:
    """Return which number of a parameter each number of a static value is, None if it is not known of any.

    What is computed number by number (a mask, a standardisation) is taken for the number it is computed from.
    """
    source = traced.statics[key]
    if isinstance(source, str):
        return starts.get(source)
    names = [node.name for node in source.all_input_nodes if node.name in traced.statics]
    inputs = {name: _followed(traced, name, state, starts) for name in names}
    if all(places is None for places in inputs.values()):
        return None
    known = isinstance(source.target, OpOverload)
    entry = vocabulary().get(canonical_name(source.target)) if known else None  # type: ignore[arg-type]
    kind = None if entry is None else entry.kind
    if kind is Kind.MOVEMENT or source.target is operator.getitem:
        return _moved(source, inputs, traced, state)
    if kind in (*BANKS, Kind.MIX):
        return None
    shape = getattr(source.meta["val"], "shape", None)
    return next((x for x in inputs.values() if isinstance(x, Tensor) and x.shape == shape), None)


def _moved(
    source: fx.Node,
    inputs: Mapping[str, object],
    traced: TracedNetwork,
    state: Mapping[str, Tensor],
) -> object:
    """Return what a movement of values makes of places."""

    def value(argument: object) -> object:
        if isinstance(argument, list | tuple):
            return [value(item) for item in argument]
        if not isinstance(argument, fx.Node):
            return argument
        if argument.name not in inputs:
            return size_of(argument.meta["val"])
        if inputs[argument.name] is not None:
            return inputs[argument.name]
        other = traced.static_value(argument.name, state)  # an index, or numbers of no parameter
        return torch.zeros_like(other, dtype=torch.long) if other.is_floating_point() else other

    arguments = [value(argument) for argument in source.args]
    keywords = {name: value(argument) for name, argument in source.kwargs.items()}
    result: object = source.target(*arguments, **keywords)  # type: ignore[operator]
    return result


def tie_users(
    units: Units, known: dict[str, Tensor], op: str, layout: Layout, common: Common
) -> None:
    """Tie the filters whose values an operation gives to all with which they have numbers in common.

    Args:
        units: All units.
        known: Holds a unit for each number that was seen; it grows.
        op: Name of the operation.
        layout: Of what it gives.
        common: What operations have in common.
    """
    for use in common.uses.get(op, ()):
        axis, rows = _rows(use, layout)
        if rows is None or not set(layout.axes) <= {axis}:
            continue
        number, row = _pairs(rows)
        own = layout.units_along(axis)[row]
        first = known.setdefault("numbers", torch.full((common.count + 1,), -1))
        new = first[number] < 0
        first[number[new]] = own[new]  # of those with one number, any will do
        both = torch.unique(torch.stack([own, first[number]]), dim=1)
        units.tie(both[0], both[1])


def _rows(use: Use, layout: Layout) -> tuple[int, Tensor | None]:
    """Return the axis of an output that follows units, and the places of each position along it `[n, m]`."""
    if use.axis is not None:
        return use.axis, use.places.reshape(len(use.places), -1)
    before = len(layout.shape) - use.places.dim()
    long = [before + d for d, size in enumerate(use.places.shape) if size > 1]
    axis = layout.axes[0] if layout.axes else (long[0] if len(long) == 1 else 1)
    if before < 0 or axis not in long or use.places.shape[axis - before] != layout.shape[axis]:
        return axis, None
    return axis, use.places.movedim(axis - before, 0).reshape(layout.shape[axis], -1)


def _pairs(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return each number with each row that has it, `[p]` twice, but for numbers that all of several rows have."""
    index = torch.arange(len(rows)).unsqueeze(1).expand(rows.shape)
    pairs = torch.unique((rows * len(rows) + index)[rows > 0])
    number, row = pairs // len(rows), pairs % len(rows)
    own = torch.bincount(number, minlength=1)[number] < max(len(rows), 2)
    return number[own], row[own]
