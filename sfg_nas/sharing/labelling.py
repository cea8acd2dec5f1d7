"""The rules by which each kind of operation passes on, makes and ties units."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from sfg_nas.groups import Groups
from sfg_nas.operations import Kind, vocabulary
from sfg_nas.sharing.common import tie_users
from sfg_nas.sharing.exported import refusal, shared_heads
from sfg_nas.sharing.limits import NO_LIMITS, Limits
from sfg_nas.sharing.movement import gathered, move, padding_of, reduced_dims
from sfg_nas.sharing.over_places import OverPlacesError, reads_places
from sfg_nas.sharing.side_by_side import is_repeated, mixed_dims
from sfg_nas.sharing.traced import TracedNetwork, TracedOp, conv_groups, public_path
from sfg_nas.sharing.units import (
    SEARCHABLE,
    HeadNeedsGateError,
    Layout,
    Units,
    broadcast_shape,
)


class Labeller:
    """Labels the output of one operation after another, tying units as it goes.

    Attributes:
        units: All units and their ties.
        layers: Searchable layers: public name to the units of its filters `[F]`.
        weights: Static key of every filter bank to its layer's public name, heads included.
        layouts: Labels of every operation's output so far.
        ties: By how many choices fewer each operation leaves, see `settle`.
    """

    def __init__(self, network: TracedNetwork, groups: Groups, limits: Limits = NO_LIMITS) -> None:
        self.network = network
        self.groups = groups
        self.limits = limits
        several = len(groups.tasks) > 1  # or else the only head and the image have the same owner
        tasks = range(len(groups.tasks)) if several else ()
        self.units = Units(frozenset(groups.owner_of_head(t) for t in tasks))
        self.banks: dict[str, Tensor] = {}  # key of a weight or operation -> its units
        self.numbers: dict[str, Tensor] = {}  # what filters have in common, see `tie_users`
        self.inputs: dict[str, Tensor] = {}  # key of a weight -> units of its input channels
        self.layers: dict[str, Tensor] = {}
        self.weights: dict[str, str] = {}
        self.layouts: dict[str, Layout] = {}
        self.ties: Counter[str] = Counter()
        self.rules = {
            Kind.CONV: self._conv,
            Kind.CONV_TRANSPOSE: self._conv,
            Kind.LINEAR: self._linear,
            Kind.CHANNEL_NORM: self._channel_norm,
            Kind.MIXING_NORM: self._mixing_norm,
            Kind.POINTWISE: self._pointwise,
            Kind.WINDOW: self._window,
            Kind.REDUCE: self._reduce,
            Kind.ALONG: self._along,
            Kind.MOVEMENT: self._movement,
            Kind.UNFOLD: self._unfold,
            Kind.FOLD: self._fold,
            Kind.MIX: self._mix,
        }

    def label(self, op: TracedOp) -> Layout:
        """Return the layout of an operation's output.

        Raises:
            ConversionError: Channels cannot be followed through the operation.
            OwnerConflictError, HeadNeedsGateError, OverPlacesError: See `channels`.
        """
        if op.operation == "input":
            axis = min(1, len(op.shape) - 1)
            units = self._bank("input", op.shape[axis] if axis else 1, self.groups.owner_of_image())
            return Layout.along(units, axis, op.shape).under(self.units)
        if op.name in self.network.gates or op.operation == "own":
            return self._gate(op)
        if op.operation in ("read", "constant"):
            return self._read(op) if op.operation == "read" else self._constant(op)
        layout = self.rules[vocabulary()[op.operation].kind](op)
        tie_users(self.units, self.numbers, op.name, layout, self.limits.common)
        if op.free in layout.axes and not is_repeated(layout, op.free):
            layout = self._keep(layout, None)
        return layout.under(self.units)

    def _gate(self, op: TracedOp) -> Layout:
        """What a gate reads has channels, and so has what it gives; nothing in between has any of anyone."""
        if op.operation == "own":
            like = self._keep(self._operand(op, "like"), 1)
            return Layout.along(like.units_along(1), 1, op.shape).under(self.units)
        if op.operation == "read":  # its channels have a group each
            self._keep(self._operand(op), 1)
        return Layout(self.banks["input"][:1].view([1] * len(op.shape)), op.shape)

    def _read(self, op: TracedOp) -> Layout:
        source = self._single(self._operand(op))
        axis = source.axes[0] if source.axes else min(1, len(source.shape) - 1)
        owner = self.groups.owner_of_head(op.head or 0)
        units = self._bank(op.name, source.shape[axis], owner)
        return Layout.along(units, axis, op.shape)

    def _constant(self, op: TracedOp) -> Layout:
        """Zeros in front of a constant: theirs is whoever they meet, or else everyone."""
        axis = next((d for d in (1, 2, 0) if d < len(op.shape) and d != op.free), 0)
        owner = SEARCHABLE if op.head is None else self.groups.owner_of_head(op.head)
        units = self._bank(f"constant {op.name}", op.shape[axis], owner)
        return Layout.along(units, axis, op.shape)

    def _bank(self, key: str, count: int, owner: int, *, filters: bool = False) -> Tensor:
        if key not in self.banks:
            self.banks[key] = self.units.new(count, owner, filters=filters)
        return self.banks[key]

    def _operand(self, op: TracedOp, argument: str | None = None) -> Layout:
        names = op.operands[argument] if argument else next(iter(op.operands.values()))
        return self.layouts[names[0]]

    def _keep(self, layout: Layout, axis: int | None) -> Layout:
        """Tie units until labels vary along `axis` alone (along nothing if None)."""
        extra = {d for d in layout.axes if d != axis}
        return self._keep_outside(layout, extra) if extra else layout

    def _single(self, layout: Layout) -> Layout:
        """Tie units until labels vary along one axis at most: the one with most of them."""
        if len(layout.axes) < 2:
            return layout
        return self._keep(layout, max(layout.axes, key=layout.variety))

    def _layer(self, op: TracedOp, count: int) -> Tensor:
        """Return the units of a layer's filters, new ones the first time it is seen."""
        key = op.statics.get("weight", op.name)
        owner = SEARCHABLE if op.head is None else self.groups.owner_of_head(op.head)
        units = self._bank(f"filters of {key}", count, owner, filters=True)
        if op.head is not None and self.units.owners_of(units) & self.units.heads - {owner}:
            raise shared_heads([self.network.tasks[op.head]])
        if key not in self.weights:
            target = self.network.static_target(key) if "weight" in op.statics else None
            name = op.name
            if target is not None:
                path = public_path(target, self.network.tasks).removesuffix(".weight")
                name = path if path not in self.weights.values() else op.name
            self.weights[key] = name
            if key in self.limits.mixed:
                self.units.tie(units, units[:1])
            if op.head is None:
                self.layers[name] = units
        return units

    def _conv(self, op: TracedOp) -> Layout:
        layout = self._keep(self._operand(op), 1)
        filters = self._layer(op, op.shape[1])
        channels = layout.units_along(1)
        parts = conv_groups(op)
        if parts > 1:
            per_in, per_out = len(channels) // parts, len(filters) // parts
            own = channels.view(parts, per_in)
            self.units.tie(own, own[:, :1])
            self.units.tie(filters.view(parts, per_out), own[:, :1])
        self._tie_calls(op, channels)
        return Layout.along(filters, 1, op.shape)

    def _linear(self, op: TracedOp) -> Layout:
        layout = self._operand(op)
        if reads_places(self.units, layout):
            raise OverPlacesError(op.name)
        last = len(layout.shape) - 1
        layout = self._keep(layout, last)
        filters = self._layer(op, op.shape[-1])
        self._tie_calls(op, layout.units_along(last))
        return Layout.along(filters, len(op.shape) - 1, op.shape)

    def _tie_calls(self, op: TracedOp, channels: Tensor) -> None:
        """Tie the input channels of all calls of one layer, and what no mask can reach."""
        key = op.statics["weight"]
        if op.name in self.limits.hidden and key in self.limits.called:
            filters = self.banks[f"filters of {key}"]
            self.units.tie(torch.cat([filters, channels]), filters[:1])
        if key in self.inputs and len(self.inputs[key]) == len(channels):
            self.units.tie(self.inputs[key], channels)
        self.inputs[key] = channels

    def _channel_norm(self, op: TracedOp) -> Layout:
        return self._keep(self._operand(op), 1)

    def _mixing_norm(self, op: TracedOp) -> Layout:
        layout = self._operand(op)
        if op.name in self.limits.hidden:
            return self._keep(layout, None)
        if op.operation == "group_norm":
            layout = self._keep(layout, 1)
        layout = self._single(layout)
        if op.head is not None and not self.owned_by_head(layout, op.head):
            raise HeadNeedsGateError(op.head)
        return layout

    def owned_by_head(self, layout: Layout, task: int) -> bool:
        """Return whether all units of a layout belong to the head of a task."""
        return self.units.owners_of(layout.labels) == {self.groups.owner_of_head(task)}

    def _pointwise(self, op: TracedOp) -> Layout:
        labels = []
        for name in op.sources:
            small = self.layouts[name].labels
            labels.append(small.view([1] * (len(op.shape) - small.dim()) + list(small.shape)))
        return self._meeting(labels, op)

    def _meeting(self, labels: list[Tensor], op: TracedOp) -> Layout:  # all at the same places
        for other in labels[1:]:
            self.units.tie(labels[0], other)
        shape = broadcast_shape(*[x.shape for x in labels])
        return self._single(Layout(labels[0].expand(shape), op.shape))

    def _window(self, op: TracedOp) -> Layout:
        layout = self._operand(op)
        last = vocabulary()[op.operation].spatial
        spatial = range(len(layout.shape) - last, len(layout.shape))
        layout = self._keep_outside(layout, set(spatial))
        return self._single(Layout(layout.labels, op.shape))

    def _keep_outside(self, layout: Layout, dims: set[int]) -> Layout:  # none of `dims` may vary
        first = layout.labels
        for dim in dims:
            first = first.narrow(dim, 0, 1)
        self.units.tie(layout.labels, first)
        return Layout(first, layout.shape)

    def _reduce(self, op: TracedOp) -> Layout:
        layout = self._operand(op)
        dims = reduced_dims(op, len(layout.shape))
        layout = self._keep_outside(layout, dims)
        labels = layout.labels
        if len(op.shape) < len(layout.shape):
            for dim in sorted(dims, reverse=True):
                labels = labels.squeeze(dim)
        return self._single(Layout(labels, op.shape))

    def _along(self, op: TracedOp) -> Layout:
        layout = self._operand(op)
        raw = op.settings.get("dim", op.settings.get("dims", 0))
        dims = raw if isinstance(raw, list) else [raw]
        axes = {int(d) % len(layout.shape) for d in dims}  # type: ignore[arg-type]
        layout = self._keep_outside(layout, axes)
        return self._single(Layout(layout.labels, op.shape))

    def _unfold(self, op: TracedOp) -> Layout:
        units = self._keep(self._operand(op), 1).units_along(1)
        repeated = units.repeat_interleave(op.shape[1] // len(units))
        return Layout.along(repeated, 1, op.shape)

    def _fold(self, op: TracedOp) -> Layout:
        units = self._keep(self._operand(op), 1).units_along(1).view(op.shape[1], -1)
        self.units.tie(units, units[:, :1])
        return Layout.along(units[:, 0], 1, op.shape)

    def _mix(self, op: TracedOp) -> Layout:
        if op.operation == "grid_sampler" and list(op.operands) == ["input"]:
            return Layout(self._keep(self._operand(op), 1).labels, op.shape)  # a fixed grid
        dims, labels = len(op.shape), []
        for layout in (self.layouts[name] for name in op.sources):
            small = self._single(self._keep_outside(layout, mixed_dims(op, layout))).labels
            labels.append(small.reshape([1] * (dims - small.dim()) + [*small.shape][-dims:]))
        return self._meeting(labels, op)

    def _movement(self, op: TracedOp) -> Layout:
        if op.operation in ("constant_pad_nd", "pad"):
            return self._pad(op)
        sources = [self.layouts[name] for name in op.sources]
        result = Layout.of(move(op, [layout.full for layout in sources]))
        if len(result.axes) > 1 and len(sources) > 1:
            return self._single(result)
        tangled = [s for s in sources if len(s.axes) > 1]
        if len(result.axes) > 1 or not tangled:
            return result
        if gathered(self.network, self.layouts, op, result) is None:
            for layout in tangled:
                self._single(layout)
        return result

    def _pad(self, op: TracedOp) -> Layout:
        """Constant padding: new channels, if any, are constants with units of their own."""
        layout = self._single(self._operand(op))
        axis = layout.axes[0] if layout.axes else 1
        before, after = padding_of(op, axis)
        if before <= 0 and after <= 0:
            if before == after == 0:
                return Layout(layout.labels, op.shape)
            units = layout.units_along(axis)
            units = units[-before : len(units) + after]
            return Layout.along(units, axis, op.shape)
        if before < 0 or after < 0:
            raise refusal(op.path, f"{op.operation} that pads and crops channels in one step")
        units = layout.units_along(axis)
        owner = SEARCHABLE if op.head is None else self.groups.owner_of_head(op.head)
        fresh = self._bank(f"padding of {op.name}", before + after, owner)
        units = torch.cat([fresh[:before], units, fresh[before:]])
        return Layout.along(units, axis, op.shape)
