"""The sizes of a network's tensors, and the notes its modules keep of them, for other numbers of channels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sfg_nas.operations import BANKS, Kind
from sfg_nas.sharing.cost import affine_axis
from sfg_nas.sharing.counts import Counts, keeps_groups
from sfg_nas.sharing.traced import TracedNetwork, TracedOp, is_kind
from sfg_nas.sharing.units import Layout

_PREFIX = "backbone."
Size = int | tuple[int, ...]
"""What a module may note of its sizes."""
Note = tuple[str, Size, Size]
_ALIGNED = (Kind.CHANNEL_NORM, Kind.MIXING_NORM, Kind.POINTWISE)


@dataclass(frozen=True)
class Axis:
    """One axis of a tensor that follows channels.

    Attributes:
        key: Of the tensor in the backbone's state dict.
        axis: Which of its axes.
        roots: Root of each position `[n]`.
        bank: Whether it is the weight of a filter bank.
    """

    key: str
    axis: int
    roots: Tensor
    bank: bool


def resize(
    module: nn.Module,
    axes: Sequence[Axis],
    ops: Sequence[TracedOp],
    counts: Counts,
    repeats: Tensor,
    *,
    guess: bool,
) -> None:
    """Give every tensor and every note of a size its new number of channels, in place.

    Args:
        module: The backbone, of the old sizes.
        axes: From `tensor_axes`.
        ops: The traced operations of the backbone.
        counts: Its units.
        repeats: How often each unit's root appears `[U]`.
        guess: Whether any attribute that equals a size of its module's operation is taken for a note of it,
            not only those of known names.
    """
    _set_tensors(module, axes, repeats)
    by_path: dict[str, list[Note]] = {}
    for op in ops:
        by_path.setdefault(op.path, []).extend(_notes(op, counts, repeats))
    for path, notes in by_path.items():
        part = module.get_submodule(path.removeprefix("backbone").removeprefix("."))
        _set_notes(part, notes, guess=guess)


def _set_tensors(module: nn.Module, axes: Sequence[Axis], repeats: Tensor) -> None:
    new: dict[int, Tensor] = {}
    for key in dict.fromkeys(axis.key for axis in axes):
        path, _, name = key.rpartition(".")
        owner = module.get_submodule(path)
        old = owner._parameters[name] if name in owner._parameters else owner._buffers[name]
        assert old is not None
        own = [axis for axis in axes if axis.key == key]
        value = _resized(old.detach(), own, repeats, trained=old.requires_grad)
        is_parameter = isinstance(old, nn.Parameter)
        new[id(old)] = nn.Parameter(value, old.requires_grad) if is_parameter else value
    for part in module.modules():  # tied parameters have several holders
        for kept in (part._parameters, part._buffers):
            kept.update({name: new[id(old)] for name, old in kept.items() if id(old) in new})  # type: ignore[misc]


def _set_notes(part: nn.Module, notes: Sequence[Note], *, guess: bool) -> None:
    for name, value in [*vars(part).items()]:
        known = tuple(value) if isinstance(value, list) else value
        for note, before, after in notes:
            named = note == name or (guess and not note)
            if named and type(known) is type(before) and known == before:
                size = list(after) if isinstance(after, tuple) else after
                setattr(part, name, size if isinstance(value, list) else after)
                break


def shape_at(layout: Layout, repeats: Tensor) -> tuple[int, ...]:
    """Return the shape of a tensor of other numbers of channels.

    Args:
        layout: Roots of the units along its channel axis.
        repeats: How often each root appears `[U]`.
    """
    shape = list(layout.shape)
    if len(layout.axes) == 1:
        axis = layout.axes[0]
        shape[axis] = _many(layout.units_along(axis), repeats)
    return tuple(shape)


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
            for target, axis, roots in found(traced, counts, state, op, argument):
                if (target, axis) not in seen and target.startswith(_PREFIX):
                    seen.add((target, axis))
                    yield Axis(target.removeprefix(_PREFIX), axis, roots, of_bank)


def _bank_axes(
    traced: TracedNetwork, counts: Counts, state: Mapping[str, Tensor], op: TracedOp, argument: str
) -> Iterator[tuple[str, int, Tensor]]:
    """Yield the axes of a filter bank, and of what it is computed from."""
    key = op.statics[argument]
    weight = traced.static_value(key, state)
    transposed = is_kind(op, Kind.CONV_TRANSPOSE)
    read, filters = _read(op, counts), _filters(op, counts)
    found: dict[int, Tensor] = {0: read, 1: filters} if transposed else {0: filters, 1: read}
    parts = op.settings.get("groups", 1)
    assert isinstance(parts, int)
    if parts > 1:
        found[1] = found[1][: weight.shape[1]]
        if _counted(op, len(read)):  # conv-groups come and go as they are
            del found[1]
    for target in sorted(traced.static_targets(key)):
        value = state.get(target)
        if value is None:
            continue
        for axis, roots in found.items():
            like = value.dim() == weight.dim() or (value.dim() == 1 and axis == int(transposed))
            place = axis if value.dim() == weight.dim() else 0
            if like and value.shape[place] == len(roots):
                yield target, place, roots


def _counted(op: TracedOp, channels: int) -> bool:
    """Return whether it is the number of conv-groups that changes, not what each of them reads."""
    parts = op.settings.get("groups", 1)
    assert isinstance(parts, int)
    return parts > 1 and not keeps_groups(parts, channels)


def _read(op: TracedOp, counts: Counts) -> Tensor:
    source = counts.layouts[op.operands["input"][0]]
    return source.units_along(len(source.shape) - 1 if is_kind(op, Kind.LINEAR) else 1)


def _filters(op: TracedOp, counts: Counts) -> Tensor:
    return counts.layouts[op.name].units_along(len(op.shape) - 1 if is_kind(op, Kind.LINEAR) else 1)


def _other_axes(
    traced: TracedNetwork, counts: Counts, state: Mapping[str, Tensor], op: TracedOp, argument: str
) -> Iterator[tuple[str, int, Tensor]]:
    """Yield the axes of a bias, of what a norm scales with, of a slope for each channel."""
    layout = counts.layouts[op.name]
    if len(layout.axes) != 1 or not is_kind(op, *BANKS, *_ALIGNED):
        return
    key = op.statics[argument]
    value = traced.static_value(key, state)
    [axis] = layout.axes
    along = affine_axis(op, argument, axis, value)
    roots = layout.units_along(axis)
    if along is None or value.shape[along] != len(roots):
        return
    labels = roots.view([-1 if d == along else 1 for d in range(value.dim())]).expand(value.shape)
    for target in sorted(traced.static_targets(key)):
        places = _places(traced, key, state, target)
        if places is None:
            continue
        of_target = torch.zeros(state[target].numel(), dtype=torch.long)
        of_target[places.reshape(-1)] = labels.reshape(-1)
        inside = Layout.of(of_target.view(state[target].shape))
        if len(inside.axes) == 1:
            yield target, inside.axes[0], inside.units_along(inside.axes[0])


def _places(
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


def _resized(old: Tensor, axes: Sequence[Axis], repeats: Tensor, *, trained: bool) -> Tensor:
    """Return a tensor with its channels repeated or left out; that of a trained filter bank drawn anew."""
    value = old
    for axis in axes:
        places = torch.arange(len(axis.roots)).repeat_interleave(repeats[axis.roots])
        value = value.index_select(axis.axis, places.to(old.device))
    if value.shape == old.shape or not trained or not any(axis.bank for axis in axes):
        return value.clone()
    # Doubled filters would stay the same in training; a narrower layer sums fewer products.
    drawn = old.reshape(-1)[torch.randint(old.numel(), value.shape, device=old.device)]
    return drawn * math.sqrt(math.prod(old.shape[1:]) / math.prod(value.shape[1:]))


def _notes(op: TracedOp, counts: Counts, repeats: Tensor) -> Iterator[Note]:
    """Yield the sizes that a module may note for an operation: name ("": any), before, after."""
    if is_kind(op, *BANKS):
        yield from _bank_notes(op, counts, repeats)
    elif "split_sizes" in op.settings or "split_size" in op.settings:
        yield from _split_notes(op, counts, repeats)
    else:
        yield from _other_notes(op, counts, repeats)


def _bank_notes(op: TracedOp, counts: Counts, repeats: Tensor) -> Iterator[Note]:
    read, filters = _read(op, counts), _filters(op, counts)
    names = ("in_features", "out_features")
    if not is_kind(op, Kind.LINEAR):
        names = ("in_channels", "out_channels")
        parts = op.settings.get("groups", 1)
        assert isinstance(parts, int)
        if _counted(op, len(read)):
            now = _many(read[:: len(read) // parts], repeats)
            yield from (("groups", parts, now), ("channels", parts, now))
    for name, roots in zip(names, (read, filters), strict=True):
        yield name, len(roots), _many(roots, repeats)


def _split_notes(op: TracedOp, counts: Counts, repeats: Tensor) -> Iterator[Note]:
    source, dim = counts.layouts[next(iter(op.sources))], op.settings.get("dim", 0)
    assert isinstance(dim, int)
    if len(source.axes) != 1 or dim % len(source.shape) != source.axes[0]:
        return
    sizes = op.settings.get("split_sizes")
    if not isinstance(sizes, list):
        each, total = op.settings["split_size"], source.shape[source.axes[0]]
        assert isinstance(each, int)
        sizes = [min(each, total - start) for start in range(0, total, each)]
    before = [int(size) for size in sizes]  # type: ignore[arg-type]
    pieces = torch.split(source.units_along(source.axes[0]), before)
    after = [_many(roots, repeats) for roots in pieces]
    yield "", tuple(before), tuple(after)
    for old, new in zip(before, after, strict=True):
        yield "", old, new


def _other_notes(op: TracedOp, counts: Counts, repeats: Tensor) -> Iterator[Note]:
    layout = counts.layouts[op.name]
    before, after = layout.shape, shape_at(layout, repeats)
    if is_kind(op, Kind.CHANNEL_NORM):
        yield "num_features", before[1], after[1]
    elif op.operation == "group_norm":
        yield "num_channels", before[1], after[1]
        if op.settings["num_groups"] == before[1]:
            yield "num_groups", before[1], after[1]
    elif is_kind(op, Kind.MIXING_NORM):
        shape = op.settings.get("normalized_shape")
        trailing = len(shape) if isinstance(shape, list) else 0
        yield "normalized_shape", before[-trailing:], after[-trailing:]
    elif op.operation == "prelu" and before[1:] != after[1:]:
        yield "num_parameters", before[1], after[1]
    if is_kind(op, Kind.POINTWISE) and op.statics and len(layout.axes) == 1:
        old, new = before[layout.axes[0]], after[layout.axes[0]]
        yield "", old, new
        for ones in range(len(before)):  # such as [C, 1, 1]
            yield "", (old, *[1] * ones), (new, *[1] * ones)


def _many(roots: Tensor, repeats: Tensor) -> int:
    return int(repeats[roots].sum())
