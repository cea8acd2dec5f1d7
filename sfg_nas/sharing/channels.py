"""Follow every channel through a traced network: who feeds whom, and who must agree.

Each tensor gets a `Layout` of units. A convolution or linear layer reads units and gives new ones;
position-by-position operations tie the units that meet; data movement is followed by running the
same operation on the labels. Where an operation mixes channels in a way that no mask on weights can
restrict (attention, a mean over channels), the channels it mixes are tied: they are given
to one group together, so that the reading rule holds there trivially. Ties found late change what
was seen early, so the walk is repeated until nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sfg_nas.errors import ConversionError, explain
from sfg_nas.groups import Groups
from sfg_nas.operations import Kind, Operation, run_operation, vocabulary
from sfg_nas.sharing.trace import TracedNetwork, TracedOp, is_kind, public_path
from sfg_nas.sharing.units import SEARCHABLE, Layout, OwnerConflictError, Units

_LIMIT = 50  # walks until ties settle; each walk ties at least two units, few are ever needed


@dataclass(frozen=True)
class ChannelMap:
    """The units of a network and where they lie.

    Attributes:
        network: The traced operations, with a `read` before each head that needs one.
        layouts: Unit labels (roots) of every operation's output.
        layers: Searchable layers: public name to the units of its filters `[F]`.
        weights: Static key of every filter bank to its layer's public name, heads included.
        roots: Root of every unit `[U]`.
        owners: Fixed owner of every root, or `SEARCHABLE` `[U]`.
        gated: Heads that read a copy of the features in which forbidden channels are zero.
    """

    network: TracedNetwork
    layouts: Mapping[str, Layout]
    layers: Mapping[str, Tensor]
    weights: Mapping[str, str]
    roots: Tensor
    owners: Tensor
    gated: frozenset[int]


def follow_channels(network: TracedNetwork, groups: Groups) -> ChannelMap:
    """Return the units of a traced network.

    Args:
        network: The traced backbone with heads.
        groups: The groups, whose extended owners fix the image and the heads.

    Raises:
        ConversionError: The channels of an operation cannot be followed.
    """
    gated: set[int] = set()
    heads = [groups.owner_of_head(t) for t in range(len(groups.tasks))]
    while True:
        seen = _insert_reads(network, gated)
        walk = _Walk(seen, groups)
        try:
            return replace(walk.settle(), gated=frozenset(gated))
        except _HeadNeedsGateError as need:
            gated.add(need.head)
        except OwnerConflictError as conflict:
            gated.update(heads.index(o) for o in conflict.owners if o in heads)


class _HeadNeedsGateError(Exception):
    def __init__(self, head: int) -> None:
        super().__init__(head)
        self.head = head


def _insert_reads(network: TracedNetwork, gated: set[int]) -> TracedNetwork:
    """Return the network in which gated heads read the backbone through `read` operations."""
    if not gated:
        return network
    by_name = {op.name: op for op in network.ops}
    ops: list[TracedOp] = []
    made: dict[tuple[int, str], str] = {}

    def through(head: int, source: str) -> str:
        if by_name[source].head is not None:
            return source
        if (head, source) not in made:
            name = f"heads.{network.tasks[head]}:read({source})"
            shape = by_name[source].shape
            path = f"heads.{head}"
            read = TracedOp(name, "read", path, {"self": (source,)}, {}, {}, None, shape, head)
            ops.append(read)
            made[head, source] = name
        return made[head, source]

    for op in network.ops:
        if op.head in gated:
            head = op.head
            operands = {k: tuple(through(head, s) for s in v) for k, v in op.operands.items()}
            ops.append(replace(op, operands=operands))
        else:
            ops.append(op)
    outputs = tuple(
        through(t, name) if t in gated else name for t, name in enumerate(network.outputs)
    )
    return replace(network, ops=tuple(ops), outputs=outputs)


class _Walk:
    """One attempt at labelling; `settle` repeats the pass until the ties are complete."""

    def __init__(self, network: TracedNetwork, groups: Groups) -> None:
        self.network = network
        self.groups = groups
        heads = frozenset(groups.owner_of_head(t) for t in range(len(groups.tasks)))
        if len(groups.tasks) == 1:  # the only head and the image have the same owner
            heads = frozenset()
        self.units = Units(heads)
        self.banks: dict[str, Tensor] = {}  # key of a weight or operation -> its units
        self.inputs: dict[str, Tensor] = {}  # key of a weight -> units of its input channels
        self.layers: dict[str, Tensor] = {}
        self.weights: dict[str, str] = {}
        self.layouts: dict[str, Layout] = {}
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
            Kind.MIX: self._mix,
        }

    def settle(self) -> ChannelMap:
        for _ in range(_LIMIT):
            self.units.changed = False
            self.roots = self.units.roots()
            for op in self.network.ops:
                self.layouts[op.name] = self._label(op)
            self._check_outputs()
            if not self.units.changed:
                return ChannelMap(
                    self.network,
                    dict(self.layouts),
                    self.layers,
                    self.weights,
                    self.units.roots(),
                    torch.tensor(self.units.owners),
                    frozenset(),
                )
        raise AssertionError("ties did not settle")

    def _check_outputs(self) -> None:
        for task, name in enumerate(self.network.outputs):
            labels = self.layouts[name].labels.reshape(-1)
            owner = self.groups.owner_of_head(task)
            if any(self.units.owners[self.units.find(u)] != owner for u in labels.tolist()):
                raise _HeadNeedsGateError(task)

    def _label(self, op: TracedOp) -> Layout:
        if op.operation == "input":
            if "input" not in self.banks:
                owner = self.groups.owner_of_image()
                channels = op.shape[1] if len(op.shape) > 1 else 1
                self.banks["input"] = self.units.new(channels, owner)
            axis = 1 if len(op.shape) > 1 else 0
            return Layout.along(self.banks["input"], axis, op.shape).under(self.units.roots())
        if op.operation == "read":
            return self._read(op)
        operation = vocabulary()[op.operation]
        layout = self.rules[operation.kind](op, operation)
        return layout.under(self.units.roots())

    def _read(self, op: TracedOp) -> Layout:
        source = self._single(self._operand(op))
        axis = source.axes[0] if source.axes else min(1, len(source.shape) - 1)
        owner = self.groups.owner_of_head(op.head or 0)
        units = self._bank(op.name, source.shape[axis], owner)
        return Layout.along(units, axis, op.shape)

    def _bank(self, key: str, count: int, owner: int) -> Tensor:
        if key not in self.banks:
            self.banks[key] = self.units.new(count, owner)
        return self.banks[key]

    def _operand(self, op: TracedOp, argument: str | None = None) -> Layout:
        names = op.operands[argument] if argument else next(iter(op.operands.values()))
        return self.layouts[names[0]]

    def _keep(self, layout: Layout, axis: int | None) -> Layout:
        """Tie units until labels vary along `axis` alone (along nothing if None)."""
        extra = [d for d in layout.axes if d != axis]
        if not extra:
            return layout
        first = layout.labels
        for dim in extra:
            first = first.narrow(dim, 0, 1)
        self.units.tie(layout.labels, first)
        return Layout(first, layout.shape)

    def _single(self, layout: Layout) -> Layout:
        """Tie units until labels vary along one axis at most: the longest."""
        if len(layout.axes) < 2:
            return layout
        return self._keep(layout, max(layout.axes, key=lambda d: layout.shape[d]))

    def _layer(self, op: TracedOp, count: int) -> Tensor:
        """Return the units of a layer's filters, new ones the first time it is seen."""
        key = op.statics.get("weight", op.name)
        owner = SEARCHABLE if op.head is None else self.groups.owner_of_head(op.head)
        units = self._bank(f"filters of {key}", count, owner)
        if key not in self.weights:
            target = self.network.static_target(key) if "weight" in op.statics else None
            name = op.name
            if target is not None:
                name = public_path(target, self.network.tasks).removesuffix(".weight")
            self.weights[key] = name
            if op.head is None:
                self.layers[name] = units
        return units

    def _conv(self, op: TracedOp, operation: Operation) -> Layout:
        if "weight" not in op.statics or list(op.operands) != ["input"]:
            raise _refuse(op, "a weight computed from activations")
        layout = self._keep(self._operand(op), 1)
        filters = self._layer(op, op.shape[1])
        channels = layout.units_along(1)
        parts = op.settings.get("groups", 1)
        assert isinstance(parts, int)
        if parts > 1:
            per_in, per_out = len(channels) // parts, len(filters) // parts
            own = channels.view(parts, per_in)
            self.units.tie(own, own[:, :1])
            self.units.tie(filters.view(parts, per_out), own[:, :1])
        self._tie_calls(op, channels)
        return Layout.along(filters, 1, op.shape)

    def _linear(self, op: TracedOp, operation: Operation) -> Layout:
        if "weight" not in op.statics or list(op.operands) != ["input"]:
            raise _refuse(op, "a weight computed from activations")
        layout = self._operand(op)
        last = len(layout.shape) - 1
        if layout.axes and last not in layout.axes:  # mixes positions, channel by channel
            layout = self._keep(layout, None)
        layout = self._keep(layout, last)
        filters = self._layer(op, op.shape[-1])
        self._tie_calls(op, layout.units_along(last))
        return Layout.along(filters, len(op.shape) - 1, op.shape)

    def _tie_calls(self, op: TracedOp, channels: Tensor) -> None:
        """Tie the input channels of all calls of one layer."""
        key = op.statics["weight"]
        if key in self.inputs and len(self.inputs[key]) == len(channels):
            self.units.tie(self.inputs[key], channels)
        self.inputs[key] = channels

    def _channel_norm(self, op: TracedOp, operation: Operation) -> Layout:
        return self._keep(self._operand(op), 1)

    def _mixing_norm(self, op: TracedOp, operation: Operation) -> Layout:
        layout = self._operand(op)
        if op.operation == "group_norm":
            layout = self._keep(layout, 1)
        layout = self._single(layout)
        if op.head is not None:
            owner = self.groups.owner_of_head(op.head)
            roots = layout.labels.reshape(-1).tolist()
            if any(self.units.owners[self.units.find(u)] != owner for u in roots):
                raise _HeadNeedsGateError(op.head)
        return layout

    def _pointwise(self, op: TracedOp, operation: Operation) -> Layout:
        labels = []
        for name in op.sources:
            small = self.layouts[name].labels
            labels.append(small.view([1] * (len(op.shape) - small.dim()) + list(small.shape)))
        for other in labels[1:]:
            self.units.tie(labels[0], other)
        return self._single(Layout(torch.broadcast_tensors(*labels)[0], op.shape))

    def _window(self, op: TracedOp, operation: Operation) -> Layout:
        layout = self._operand(op)
        spatial = range(len(layout.shape) - operation.spatial, len(layout.shape))
        outside = [d for d in layout.axes if d not in spatial]
        layout = self._keep_outside(layout, set(spatial)) if len(outside) < len(layout.axes) else layout
        return self._single(Layout(layout.labels, op.shape))

    def _keep_outside(self, layout: Layout, dims: set[int]) -> Layout:
        """Tie units until labels do not vary along any of `dims`."""
        first = layout.labels
        for dim in dims:
            first = first.narrow(dim, 0, 1)
        self.units.tie(layout.labels, first)
        return Layout(first, layout.shape)

    def _reduce(self, op: TracedOp, operation: Operation) -> Layout:
        layout = self._operand(op)
        dims = reduced_dims(op, len(layout.shape))
        layout = self._keep_outside(layout, dims)
        labels = layout.labels
        if len(op.shape) < len(layout.shape):
            for dim in sorted(dims, reverse=True):
                labels = labels.squeeze(dim)
        return self._single(Layout(labels, op.shape))

    def _along(self, op: TracedOp, operation: Operation) -> Layout:
        layout = self._operand(op)
        raw = op.settings.get("dim", op.settings.get("dims", 0))
        dims = raw if isinstance(raw, list) else [raw]
        axes = {int(d) % len(layout.shape) for d in dims}  # type: ignore[arg-type]
        return self._single(self._keep_outside(layout, axes))

    def _mix(self, op: TracedOp, operation: Operation) -> Layout:
        layouts = [self._keep(self.layouts[name], None) for name in op.sources]
        for other in layouts[1:]:
            self.units.tie(layouts[0].labels.reshape(-1), other.labels.reshape(-1))
        label = layouts[0].labels.reshape(-1)
        return Layout(label.view([1] * len(op.shape)), op.shape)

    def _movement(self, op: TracedOp, operation: Operation) -> Layout:
        if op.operation in ("constant_pad_nd", "pad"):
            return self._pad(op)
        layouts = {k: [self.layouts[n] for n in names] for k, names in op.operands.items()}
        sources = [layout for group in layouts.values() for layout in group]
        result = Layout.of(move(op, operation, [layout.full for layout in sources]))
        if len(result.axes) > 1 and len(sources) > 1:
            return self._single(result)
        tangled = [s for s in sources if len(s.axes) > 1]
        if tangled and len(result.axes) < 2 and gathered(self.network, self.layouts, op, result) is None:
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
            raise _refuse(op, "padding and cropping of channels in one step")
        units = layout.units_along(axis)
        owner = SEARCHABLE if op.head is None else self.groups.owner_of_head(op.head)
        fresh = self._bank(f"padding of {op.name}", before + after, owner)
        units = torch.cat([fresh[:before], units, fresh[before:]])
        return Layout.along(units, axis, op.shape)


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


def move(op: TracedOp, operation: Operation, tensors: list[Tensor]) -> Tensor:
    """Return what a movement operation makes of label or index tensors."""
    arguments: dict[str, Tensor | list[Tensor]] = {}
    position = 0
    listed = {"cat", "concat", "stack", "hstack"}
    for name, names in op.operands.items():
        chosen = tensors[position : position + len(names)]
        position += len(names)
        arguments[name] = chosen if op.operation in listed else chosen[0]
    result = run_operation(operation, arguments, op.settings)
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
        moved = move(step, vocabulary()[step.operation], [moved])
    per_step = int(torch.tensor(start.shape[axis + 1 :]).prod())
    first = moved.movedim(axis, 0).reshape(moved.shape[axis], -1)[:, 0]
    channels = (first // per_step) % start.shape[axis]
    same = index.index_select(axis, channels)
    return (source, channels) if torch.equal(same, moved) else None


def _refuse(op: TracedOp, what: str) -> ConversionError:
    return ConversionError(
        explain(
            where=f"convert: module `{op.path or 'backbone'}`",
            rule="channels must be followed through every operation",
            found=f"operation `{op.operation}` with {what}",
            do="replace that module by a supported one",
        )
    )
