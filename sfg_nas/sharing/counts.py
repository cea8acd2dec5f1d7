"""Which channels of a network must be as many as which others, whatever their number.

The labels are those of `channels`, with fewer ties: where channels are mixed, all of them must go to one
group, yet there may be any number of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sfg_nas.groups import Groups
from sfg_nas.sharing.channels import settle
from sfg_nas.sharing.labelling import Labeller
from sfg_nas.sharing.movement import reduced_dims
from sfg_nas.sharing.over_places import reads_places
from sfg_nas.sharing.traced import TracedNetwork, TracedOp, conv_groups
from sfg_nas.sharing.units import SEARCHABLE, Layout

_FEW = 8
"""A convolution of fewer conv-groups than this keeps their number, and each of them grows."""
_LARGEST = ("amax", "amin", "max.dim", "min.dim")
"""Reductions over each few channels that give one. Sums and means may be those of an attention, each over a head,
and the number of heads stands in the user's code."""


@dataclass(frozen=True)
class Counts:
    """The units of a network whose number may change.

    Attributes:
        layouts: Unit labels (roots) of every operation's output.
        layers: Layers by name, with the root of each filter `[F]`.
        free: Whether the number of a root may change `[U]`.
        multiples: What the number of units of a root's layer must be a multiple of `[U]`.
    """

    layouts: Mapping[str, Layout]
    layers: Mapping[str, Tensor]
    free: Tensor
    multiples: Tensor

    @cached_property
    def parts(self) -> tuple[Tensor, ...]:
        """Roots that are counted together: those of a layer, but for what an earlier one has, `[n]` each."""
        done = ~self.free
        found: list[Tensor] = []
        for units in self.layers.values():
            roots = torch.tensor(list(dict.fromkeys(units.tolist())), dtype=torch.long)
            roots = roots[~done[roots]]
            done[roots] = True
            if len(roots) > 1:
                found.append(roots)
        return tuple(found)

    def repeats(
        self, width: float, multiple: int = 1, parts: Sequence[int] | None = None
    ) -> Tensor:
        """Return how often each root appears in the network of another width `[U]`.

        The channels of a layer that are left out, or doubled, are spread evenly over it.

        Args:
            width: Factor on the number of filters of every layer; none is left without one.
            multiple: What the filters of a layer are a multiple of as well, where they were before.
            parts: Indices of the `parts` that change; None for all.
        """
        result = torch.ones_like(self.multiples)
        for index in range(len(self.parts)) if parts is None else parts:
            roots = self.parts[index]
            count = len(roots)
            needed = math.lcm(multiple, *self.multiples[roots].tolist())
            step = math.gcd(count, needed)
            target = max(step, step * round(count * width / step))
            places = torch.arange(count + 1) * target // count
            result[roots] = places[1:] - places[:-1]
        return result


def count_units(network: TracedNetwork) -> Counts:
    """Return the units of a traced network whose number may change.

    Args:
        network: The traced backbone; its heads pass features on.
    """
    labeller = _CountLabeller(network, Groups.parse(network.tasks, [list(network.tasks)]))
    settle(labeller)
    units = labeller.units
    roots = units.roots()
    layers = {name: roots[filters] for name, filters in labeller.layers.items()}
    free = torch.tensor(units.owners) == SEARCHABLE
    free[roots[torch.tensor(sorted(labeller.written), dtype=torch.long)]] = False
    held = roots[torch.tensor(sorted(labeller.held), dtype=torch.long)]
    _hold_whole_layers(layers, held, free)
    multiples = torch.ones_like(roots)
    for members, multiple in labeller.multiples:
        for root in set(roots[members].tolist()):
            multiples[root] = math.lcm(int(multiples[root]), multiple)
    layouts = {name: layout.under(units) for name, layout in labeller.layouts.items()}
    return Counts(layouts, layers, free, multiples)


def keeps_groups(parts: int, channels: int) -> bool:
    """Return whether a convolution keeps the number of its conv-groups, each of which grows instead."""
    return 1 < parts < min(channels, _FEW)


def _hold_whole_layers(layers: Mapping[str, Tensor], held: Tensor, free: Tensor) -> None:
    """Let a layer keep its filters, in place, where one of them must stay alone."""
    kept = set(held.tolist())
    while True:
        more = set(kept)
        for filters in layers.values():
            members = set(filters.tolist())
            if members & kept:
                more |= members
        if more == kept:
            break
        kept = more
    free[torch.tensor(sorted(kept), dtype=torch.long)] = False


class _CountLabeller(Labeller):
    """Ties what must be equally many.

    Attributes:
        held: Units that are broadcast over the channels of others, and so stay as many as they are.
        written: Units of channels that are padded, whose number stands in the user's code.
        multiples: Units, and what their number must be a multiple of.
    """

    def __init__(self, network: TracedNetwork, groups: Groups) -> None:
        super().__init__(network, groups)
        self.held: set[int] = set()
        self.written: set[int] = set()
        self.multiples: list[tuple[Tensor, int]] = []

    def _conv(self, op: TracedOp) -> Layout:
        parts = conv_groups(op)
        if (along := self._along_channels(op)) is not None:
            return along
        channels = self._keep(self._operand(op), 1).units_along(1)
        if not keeps_groups(parts, len(channels)):
            return super()._conv(op)
        filters = self._layer(op, op.shape[1])
        self.multiples += [(channels, parts), (filters, parts)]
        self._tie_calls(op, channels)
        return Layout.along(filters, 1, op.shape)

    def _along_channels(self, op: TracedOp) -> Layout | None:
        """A convolution along the channels of a map, which gives as many; None if it is none."""
        layout = self._operand(op)
        places = [d for d in layout.axes if d > 1 and layout.shape[d] == op.shape[d]]
        if layout.axes != tuple(places) or len(places) != 1 or op.shape[1] != 1:
            return None
        everyone = self.groups.owner_of_image()
        self._layer(op, 1)
        self.inputs[op.statics["weight"]] = self._bank(
            f"along {op.name}", layout.shape[1], everyone
        )
        return Layout(layout.labels, op.shape)

    def _linear(self, op: TracedOp) -> Layout:
        layout = self._operand(op)
        if not reads_places(self.units, layout):
            return super()._linear(op)
        # they stay as many as they are
        everyone = self.groups.owner_of_image()
        self._layer(op, op.shape[-1])
        count = layout.shape[-1]
        self.inputs[op.statics["weight"]] = self._bank(f"along {op.name}", count, everyone)
        self.held.update(self.banks[f"filters of {op.statics['weight']}"].tolist())
        return Layout(layout.labels, op.shape)

    def _window(self, op: TracedOp) -> Layout:
        layout, kernel = self._operand(op), op.settings.get("kernel_size")
        sizes = kernel if isinstance(kernel, list) else []
        for dim, size in enumerate(sizes, len(layout.shape) - len(sizes)):
            shorter = layout.shape[dim] - op.shape[dim]
            if dim in layout.axes and isinstance(size, int) and size == shorter + 1 > 1:
                labels = layout.labels.narrow(dim, (size - 1) // 2, op.shape[dim])
                return self._single(Layout(labels, op.shape))  # of the channel in the middle
        return super()._window(op)

    def _mixing_norm(self, op: TracedOp) -> Layout:
        layout = self._operand(op)
        if op.operation == "group_norm":
            layout = self._keep(layout, 1)
            parts = op.settings["num_groups"]
            assert isinstance(parts, int)
            if parts < op.shape[1]:
                self.multiples.append((layout.units_along(1), parts))
        return self._single(layout)

    def _pointwise(self, op: TracedOp) -> Layout:
        dims = len(op.shape)
        seen: list[tuple[Tensor, tuple[int, ...]]] = []
        for layout in (self.layouts[name] for name in op.sources):
            before = [1] * (dims - len(layout.shape))
            labels = layout.labels.view([*before, *layout.labels.shape])
            seen.append((labels, (*before, *layout.shape)))
        widest = max((labels for labels, _ in seen), key=Tensor.numel)
        for labels, shape in seen:
            if any(n > 1 and shape[d] == 1 for d, n in enumerate(widest.shape)):
                self.held.update(labels.reshape(-1).tolist())
            else:
                self.units.tie(widest, labels)
        return self._single(Layout(widest, op.shape))

    def _reduce(self, op: TracedOp) -> Layout:
        layout = self._operand(op)
        reduced, axes = reduced_dims(op, len(layout.shape)), set(layout.axes)
        # the largest of a few channels (maxout): each few are one, and there may be more or fewer such
        if not reduced & axes or (op.operation in _LARGEST and axes - reduced):
            return super()._reduce(op)
        unit = self._bank(f"reduced {op.name}", 1, self.groups.owner_of_image())
        return Layout(unit.view([1] * len(op.shape)), op.shape)

    def _along(self, op: TracedOp) -> Layout:
        layout = self._operand(op)
        if op.operation.startswith(("sort", "topk")) or layout.shape != op.shape:
            return super()._along(op)
        return self._single(Layout(layout.labels, op.shape))

    def _pad(self, op: TracedOp) -> Layout:
        layout = super()._pad(op)
        self.written.update(self.banks.get(f"padding of {op.name}", torch.empty(0)).tolist())
        return layout
