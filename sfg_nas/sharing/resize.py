"""The sizes of a network's tensors, and the notes its modules keep of them, for other numbers of channels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise

import torch
from torch import Tensor, nn

from sfg_nas.operations import BANKS, Kind
from sfg_nas.sharing.axes import Axis, channels_read, counted, filters_made, is_along_channels
from sfg_nas.sharing.counts import Counts
from sfg_nas.sharing.traced import TracedOp, conv_groups, is_kind
from sfg_nas.sharing.units import Layout

_NOISE = 0.01
"""Added to the weights of doubled filters, as a share of their standard deviation."""
Size = int | tuple[int, ...]
"""What a module may note of its sizes."""
Note = tuple[str, Size, Size]


def resize(
    module: nn.Module,
    axes: Sequence[Axis],
    ops: Sequence[TracedOp],
    counts: Counts,
    repeats: Tensor,
    *,
    keep: bool,
    guess: bool,
) -> None:
    """Give every tensor and every note of a size its new number of channels, in place.

    Args:
        module: The backbone, of the old sizes.
        axes: From `tensor_axes`.
        ops: The traced operations of the backbone.
        counts: Its units.
        repeats: How often each unit's root appears `[U]`.
        keep: Whether the weights of filter banks are taken over, not drawn anew.
        guess: Whether any attribute that equals a size of its module's operation is taken for a note of it,
            not only those of known names.
    """
    _set_tensors(module, axes, repeats, keep=keep)
    by_path: dict[str, list[Note]] = {}
    for op in ops:
        by_path.setdefault(op.path, []).extend(_notes(op, counts, repeats))
    for path, notes in by_path.items():
        part = module.get_submodule(path.removeprefix("backbone").removeprefix("."))
        _set_notes(part, notes, guess=guess)


def _set_tensors(module: nn.Module, axes: Sequence[Axis], repeats: Tensor, *, keep: bool) -> None:
    new: dict[int, Tensor] = {}
    for key in dict.fromkeys(axis.key for axis in axes):
        path, _, name = key.rpartition(".")
        owner = module.get_submodule(path)
        old = owner._parameters[name] if name in owner._parameters else owner._buffers[name]
        assert old is not None
        own = [axis for axis in axes if axis.key == key]
        value = _resized(old.detach(), own, repeats)
        if old.requires_grad and value.shape != old.shape and any(axis.bank for axis in own):
            value = _widened(value, own, repeats) if keep else _drawn(old.detach(), value.shape)
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


def _resized(old: Tensor, axes: Sequence[Axis], repeats: Tensor) -> Tensor:
    """Return a copy of a tensor with its channels repeated or left out."""
    value = old.clone()
    for axis in axes:
        value = value.index_select(axis.axis, _places(axis, repeats).to(old.device))
    return value


def _places(axis: Axis, repeats: Tensor) -> Tensor:
    """Return the old place of every new position; a run of one root (a flattened map, say) is repeated as a whole."""
    starts = torch.ones(len(axis.roots), dtype=torch.bool)
    starts[1:] = axis.roots[1:] != axis.roots[:-1]
    lengths = torch.bincount(starts.long().cumsum(0) - 1).tolist()
    runs = torch.split(torch.arange(len(axis.roots)), lengths)
    often = repeats[axis.roots[starts]].tolist()
    return torch.cat([run.repeat(count) for run, count in zip(runs, often, strict=True)])


def _drawn(old: Tensor, shape: torch.Size) -> Tensor:
    """Return weights drawn from those of a filter bank; a narrower one sums fewer products of greater weights."""
    drawn = old.reshape(-1)[torch.randint(old.numel(), shape, device=old.device)]
    return drawn * math.sqrt(math.prod(old.shape[1:]) / math.prod(shape[1:]))


def _widened(value: Tensor, axes: Sequence[Axis], repeats: Tensor) -> Tensor:
    """Return weights in which channels that are read twice count half each (Chen et al. 2016, Net2WiderNet).

    A little noise lets doubled filters part in training.
    """
    for axis in axes:
        often = repeats[axis.roots][_places(axis, repeats)]
        if axis.reads:
            view = [-1 if d == axis.axis else 1 for d in range(value.dim())]
            value = value / often.view(view).to(value)
        if bool((often > 1).any()):
            value = value + _NOISE * value.std() * torch.randn_like(value)
    return value


def _notes(op: TracedOp, counts: Counts, repeats: Tensor) -> Iterator[Note]:
    """Yield the sizes that a module may note for an operation: name ("": any), before, after."""
    if is_kind(op, *BANKS):
        yield from _bank_notes(op, counts, repeats)
    elif op.operation == "slice.Tensor" or {"split_sizes", "split_size"} & set(op.settings):
        yield from _cut_notes(op, counts, repeats)
    else:
        yield from _other_notes(op, counts, repeats)


def _bank_notes(op: TracedOp, counts: Counts, repeats: Tensor) -> Iterator[Note]:
    if is_along_channels(op, counts):
        return
    read, filters = channels_read(op, counts), filters_made(op, counts)
    names = ("in_features", "out_features")
    if not is_kind(op, Kind.LINEAR):
        names = ("in_channels", "out_channels")
        parts = conv_groups(op)
        if counted(op, len(read)):
            now = _many(read[:: len(read) // parts], repeats)
            yield from (("groups", parts, now), ("channels", parts, now))
    for name, roots in zip(names, (read, filters), strict=True):
        yield name, len(roots), _many(roots, repeats)


def _cut_notes(op: TracedOp, counts: Counts, repeats: Tensor) -> Iterator[Note]:
    source, dim = counts.layouts[next(iter(op.sources))], op.settings.get("dim", 0)
    assert isinstance(dim, int)
    if len(source.axes) != 1 or dim % len(source.shape) != source.axes[0]:
        return
    roots = source.units_along(source.axes[0])
    before = _pieces(op, len(roots))
    after = [_many(piece, repeats) for piece in torch.split(roots, before)]
    yield "", tuple(before), tuple(after)
    for old, new in zip(
        chain(before, accumulate(before)), chain(after, accumulate(after)), strict=True
    ):
        yield "", old, new


def _pieces(op: TracedOp, total: int) -> list[int]:
    """Return the sizes of the pieces into which a split or a slice cuts an axis."""
    sizes, each = op.settings.get("split_sizes"), op.settings.get("split_size")
    if isinstance(sizes, list):
        return [int(size) for size in sizes]  # type: ignore[arg-type]
    if isinstance(each, int):
        return [min(each, total - start) for start in range(0, total, each)]
    ends = {op.settings.get(name) for name in ("start", "end")}
    cuts = sorted(end % total for end in ends if isinstance(end, int) and -total < end < total)
    places = [0, *(cut for cut in cuts if cut), total]
    return [end - start for start, end in pairwise(places)]


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
