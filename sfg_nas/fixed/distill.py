"""From a supernet and an allocation to the architecture graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import networkx as nx
import torch
from torch import Tensor

from sfg_nas.allocation import Allocation
from sfg_nas.architecture import Architecture, Parameter, parameter
from sfg_nas.errors import ConversionError, explain
from sfg_nas.groups import Groups
from sfg_nas.operations import Kind, Setting, vocabulary
from sfg_nas.sharing.movement import gathered, padding_of
from sfg_nas.sharing.norms import norm_axes
from sfg_nas.sharing.supernet import Supernet, plain_name
from sfg_nas.sharing.traced import BATCH, TracedOp, is_kind
from sfg_nas.sharing.units import Layout

_BANKS = (Kind.CONV, Kind.CONV_TRANSPOSE, Kind.LINEAR)
_RESHAPES = ("view", "reshape", "unflatten.int")


def distill(supernet: Supernet, allocation: Allocation | None = None) -> Architecture:
    """Return the architecture of a hard allocation.

    Every operation of the user's network is written once per group that owns channels of it, over
    those channels alone; what no head can reach is left out.

    Args:
        supernet: The supernet whose network and ties are used.
        allocation: The allocation; None for the hardened, or else the most probable one.

    Raises:
        ArchitectureError: The allocation does not fit the supernet.
        ConversionError: An operation cannot be divided among groups.
    """
    if allocation is None and supernet.hardened:
        hard = supernet.assignments.hard
        assert hard is not None
    else:
        hard = supernet.wiring.variables_of(allocation or supernet.allocation())
    return _Divider(supernet, hard.cpu()).divide()


class _Divider:
    """Writes the nodes of one architecture, operation by operation."""

    def __init__(self, supernet: Supernet, hard: Tensor) -> None:
        self.wiring = supernet.wiring
        self.groups: Groups = supernet.groups
        fixed = torch.arange(len(self.groups.extended))
        self.owner_of_row = torch.cat([hard, fixed])
        self.statics = supernet.static_values()
        self.graph: nx.DiGraph[str] = nx.DiGraph()
        self.parts: dict[str, dict[int, str]] = {}  # operation -> owner -> node
        self.layouts = {
            name: _layout(axis, rows, self.wiring.op(name).shape)
            for name, (axis, rows) in self.wiring.rows.items()
        }
        self.trained = {plain_name(name) for name, _ in supernet.network.named_parameters()}

    def divide(self) -> Architecture:
        first = self.wiring.network.ops[0]
        groups = [[self.groups.tasks[i] for i in sorted(g)] for g in self.groups.sets]
        self.graph.graph.update(
            schema=1,
            tasks=list(self.groups.tasks),
            groups=groups,
            input_shape=list(first.shape[1:]),
        )
        for order, op in enumerate(self.wiring.network.ops):
            if op.name in self.wiring.rows:
                self._write(op, order)
        outputs = [self._output(t) for t in range(len(self.groups.tasks))]
        alive = set(outputs) | {next(iter(self.parts[first.name].values()))}
        for name in outputs:
            alive |= nx.ancestors(self.graph, name)
        self.graph.remove_nodes_from(set(self.graph) - alive)
        return Architecture(self.graph)

    def _write(self, op: TracedOp, order: int) -> None:
        axis, rows = self.wiring.rows[op.name]
        owners = self.owner_of_row[rows]
        parts: dict[int, str] = {}
        for owner in owners.unique().tolist():
            if op.head is not None and not self.groups.reads[self._head(op), owner]:
                continue
            if axis is None:
                channels = list(range(op.shape[1] if len(op.shape) > 1 else 1))
            else:
                channels = torch.nonzero(owners == owner).reshape(-1).tolist()
            part = _Part(self, op, order, owner, axis, channels)
            parts[owner] = part.write()
        self.parts[op.name] = parts

    def _head(self, op: TracedOp) -> int:
        assert op.head is not None
        return self.groups.owner_of_head(op.head)

    def _output(self, task: int) -> str:
        source = self.wiring.network.outputs[task]
        node = self.parts[source][self.groups.owner_of_head(task)]
        name = f"output@{self.groups.tasks[task]}"
        data = dict(self.graph.nodes[node])
        data.update(
            op="output",
            layer="output",
            settings={},
            params={},
            operands=["self"],
            item=None,
            order=len(self.wiring.network.ops) + task,
        )
        self.graph.add_node(name, **data)
        self.connect(node, name, 0, 0)
        return name

    def connect(self, source: str, target: str, operand: int, position: int) -> None:
        """Let `source` feed one slot of `target`."""
        if self.graph.has_edge(source, target):
            self.graph.edges[source, target]["slots"].append([operand, position])
        else:
            channels = len(self.graph.nodes[source]["channels"])
            self.graph.add_edge(source, target, slots=[[operand, position]], channels=channels)

    def readable(self, source: str, owner: int) -> list[str]:
        """Return the parts of an operation's output that an owner may read, in a fixed order."""
        parts = self.parts[source]
        return [parts[h] for h in sorted(parts) if self.groups.reads[owner, h]]


class _Part:
    """Writes the node of one operation for one owner."""

    def __init__(  # noqa: PLR0913 - one record, made in one place
        self,
        divider: _Divider,
        op: TracedOp,
        order: int,
        owner: int,
        axis: int | None,
        channels: list[int],
    ) -> None:
        self.divider, self.op, self.owner = divider, op, owner
        self.axis, self.channels, self.order = axis, channels, order
        self.shape = list(op.shape)
        if axis is not None:
            self.shape[axis] = len(channels)
        self.group = divider.groups.extended[owner]
        self.name = f"{op.name}@{divider.groups.name_of(self.group)}"

    def write(self) -> str:
        op = self.op
        if op.operation == "input":
            return self._node("input", {})
        if op.operation == "read":
            return self._read()
        if is_kind(op, *_BANKS):
            return self._bank()
        if is_kind(op, Kind.MIXING_NORM):
            return self._mixing_norm()
        if is_kind(op, Kind.MOVEMENT):
            return self._movement()
        return self._plain(op.operation, dict(op.settings))

    def _node(
        self,
        operation: str,
        operands: Mapping[str, Sequence[str]],
        settings: Mapping[str, object] | None = None,
        params: Mapping[str, Parameter] | None = None,
        item: int | None = None,
    ) -> str:
        tasks = self.divider.groups.tasks
        self.divider.graph.add_node(
            self.name,
            op=operation,
            layer=self.op.name,
            group=[tasks[i] for i in sorted(self.group)],
            channels=self.channels,
            axis=self.axis,
            shape=self.shape[1:],
            settings=dict(settings or {}),
            operands=list(operands),
            params=dict(params or {}),
            item=item,
            order=self.order,
            repeats=max(self.op.shape[0] // BATCH, 1),
        )
        for operand, sources in enumerate(operands.values()):
            for position, source in enumerate(sources):
                self.divider.connect(source, self.name, operand, position)
        return self.name

    def _own(self, source: str) -> str:
        """Return the part of an operation's output that has this owner."""
        parts = self.divider.parts[source]
        if self.owner not in parts:
            raise ConversionError(
                explain(
                    where=f"distill: `{self.op.name}`",
                    rule="operands of one operation must be owned by the same groups",
                    found=f"no channels of `{source}` for {sorted(self.group)}",
                    do="report this network: its ties were not followed",
                )
            )
        return parts[self.owner]

    def _plain(self, operation: str, settings: Mapping[str, object]) -> str:
        operands = {k: [self._own(s) for s in names] for k, names in self.op.operands.items()}
        params = {k: self._static(k, self._static_axis(k)) for k in self.op.statics}
        kept = {k: v for k, v in settings.items() if k not in ("train", "training")}
        return self._node(operation, operands, kept, params, self.op.item)

    def _static_axis(self, argument: str) -> int | None:
        """Return the axis of a static tensor that follows the channels, None if none does."""
        value = self.divider.statics[self.op.statics[argument]]
        if is_kind(self.op, Kind.CHANNEL_NORM):
            return 0
        if self.axis is None or value.dim() == 0:
            return None
        if self.op.operation == "prelu":
            return 0 if len(value) > 1 else None
        axis = self.axis - (len(self.op.shape) - value.dim())
        return axis if axis >= 0 and value.shape[axis] > 1 else None

    def _static(self, argument: str, axis: int | None, keep: Tensor | None = None) -> Parameter:
        """Return the record of one static tensor, cut to the channels of this part."""
        key = self.op.statics[argument]
        value = self.divider.statics[key]
        shape = list(value.shape)
        if axis is not None and self.axis is not None:
            shape[axis] = len(self.channels)
        target = self.divider.wiring.network.static_target(key)
        trained = key in self.divider.trained or target in self.divider.trained or target is None
        fill = float(value.double().mean()) if value.numel() and value.is_floating_point() else 0.0
        return parameter(key=target or key, shape=shape, axis=axis, trained=trained, fill=fill)

    def _bank(self) -> str:
        op = self.op
        source = next(iter(op.operands.values()))[0]
        groups = op.settings.get("groups", 1)
        assert isinstance(groups, int)
        transposed = is_kind(op, Kind.CONV_TRANSPOSE)
        if groups > 1:
            sources = [self._own(source)]
        else:
            sources = self.divider.readable(source, self.owner)
        params: dict[str, Parameter] = {}
        if "bias" in op.statics:
            params["bias"] = self._static("bias", 0)
        if not sources:
            return self._node("constant", {}, {}, params)
        weight = self._static("weight", None)
        filters, channels = (1, 0) if transposed else (0, 1)
        count = sum(self._width(s) for s in sources)
        share = 1
        if groups > 1:
            # conv-groups have one owner each: this part keeps whole ones
            total = weight["shape"][filters] * (groups if transposed else 1)
            share = groups * len(self.channels) // total if self.axis is not None else groups
        kept = self.shape[-1] if is_kind(op, Kind.LINEAR) else self.shape[1]
        weight["shape"][filters] = kept // (share if transposed else 1)
        weight["shape"][channels] = count // (1 if transposed else share)
        params = {"weight": weight, **params}
        settings = {**op.settings, "kernel_size": weight["shape"][2:]}
        if groups > 1:
            settings["groups"] = share
            settings["of_groups"] = groups
        if is_kind(op, Kind.LINEAR):
            settings = {}
        return self._node(op.operation, {"input": sources}, settings, params)

    def _width(self, source: str) -> int:
        shape = self.divider.graph.nodes[source]["shape"]
        return int(shape[-1] if is_kind(self.op, Kind.LINEAR) else shape[0])

    def _mixing_norm(self) -> str:
        op = self.op
        source = op.operands["input"][0]
        own = self._own(source)
        axis = self.axis
        over = norm_axes(op, axis) if axis is not None else None
        if axis is None or over is None:
            return self._plain(op.operation, dict(op.settings))
        read = self.divider.readable(source, self.owner)
        affine_axis = 0
        if op.operation == "layer_norm":
            shape = op.settings["normalized_shape"]
            assert isinstance(shape, list)
            affine_axis = axis - (len(op.shape) - len(shape))
        params = {k: self._static(k, affine_axis) for k in op.statics}
        settings = {
            "eps": op.settings.get("eps", 1e-5),
            "over": list(over),
            "axis": axis,
            "norm_groups": op.settings.get("num_groups", 1),
            "of_channels": op.shape[axis],
            "affine_axis": affine_axis,
        }
        return self._node(op.operation, {"input": [own], "read": read}, settings, params)

    def _read(self) -> str:
        source = self.op.operands["self"][0]
        parts = self.divider.readable(source, self.owner)
        if not parts:
            return self._node("constant", {}, {})
        width = self.op.shape[self.axis] if self.axis is not None else 1
        held: list[int] = []
        for part in parts:
            held.extend(self.divider.graph.nodes[part]["channels"])
        if self.axis is None:
            return self._node("clone", {"self": parts})
        where = {channel: i for i, channel in enumerate(held)}
        positions = [where.get(c, -1) for c in range(width)]
        settings = {"axis": self.axis, "positions": positions}
        return self._node("select", {"self": parts}, settings)

    def _movement(self) -> str:
        op, divider = self.op, self.divider
        if op.operation in ("constant_pad_nd", "pad"):
            return self._pad()
        if op.operation in ("cat", "concat", "hstack"):
            return self._concat()
        names = list(op.sources)
        direct = divider.layouts.get(names[0])
        if self.axis is not None:
            found = gathered(divider.wiring.network, _Chain(divider), op, divider.layouts[op.name])
            if found is not None and found[1].numel() == op.shape[self.axis]:
                return self._select(*found)
        if direct is None or len(names) > 1 and self.axis is None and not names:
            raise _lost(op)
        settings = dict(op.settings)
        return self._plain(*self._resized(direct, settings))

    def _select(self, source: str, channels: Tensor) -> str:
        """Write a step that only picks channels of one tensor."""
        part = self._own(source)
        held = {c: i for i, c in enumerate(self.divider.graph.nodes[part]["channels"])}
        positions = [held[c] for c in channels[self.channels].tolist()]
        return self._node("select", {"self": [part]}, {"axis": self.axis, "positions": positions})

    def _concat(self) -> str:
        """Write a concatenation of this owner's channels."""
        op = self.op
        sources = [s for s in op.sources if self.owner in self.divider.parts[s]]
        dim = op.settings.get("dim", 1 if op.operation == "hstack" else 0)
        assert isinstance(dim, int)
        parts = [self._own(s) for s in sources]
        dim %= len(op.shape)
        return self._node("cat", {"tensors": parts}, {"dim": dim})

    def _pad(self) -> str:
        op = self.op
        source = next(iter(op.sources))
        axis = self.axis if self.axis is not None else 1
        before, after = padding_of(op, axis)
        settings = dict(op.settings)
        if before == after == 0 or self.axis is None:
            return self._plain(op.operation, settings)
        part = self._own_or_none(source)
        held = self.divider.graph.nodes[part]["channels"] if part is not None else []
        where = {c + before: i for i, c in enumerate(held)}
        positions = [where.get(c, -1) for c in self.channels]
        others = [
            p for i, p in enumerate(op.settings["pad"]) if p and i // 2 != _pad_index(op, axis)
        ]  # type: ignore[arg-type]
        if others or settings.get("value") not in (None, 0, 0.0):
            raise _lost(op)
        if part is None:
            return self._node("constant", {}, {})
        return self._node("select", {"self": [part]}, {"axis": axis, "positions": positions})

    def _own_or_none(self, source: str) -> str | None:
        return self.divider.parts[source].get(self.owner)

    def _resized(
        self, source: Layout, settings: dict[str, Setting]
    ) -> tuple[str, Mapping[str, object]]:
        """Return operation and settings with sizes that follow this part's channels."""
        op = self.op
        if op.operation in _RESHAPES:
            return "reshape", {"shape": [-1, *self.shape[1:]]}
        if op.operation == "expand":
            inner = next(iter(op.sources))
            before = self.divider.wiring.op(inner).shape
            pad = len(op.shape) - len(before)
            size = [-1 if d >= pad and before[d - pad] == s else s for d, s in enumerate(op.shape)]
            size[0] = -1
            return "expand", {"size": size}
        name = op.operation
        if name in ("select.int", "unbind.int") and self.axis is None and source.axes:
            dim = cast(int, settings.get("dim", 0)) % len(source.shape)
            if dim == source.axes[0]:
                index = settings["index"] if name == "select.int" else op.item
                assert isinstance(index, int)
                index %= source.shape[dim]
                part = self._own(next(iter(op.sources)))
                position = self.divider.graph.nodes[part]["channels"].index(index)
                return "select.int", {"dim": dim, "index": position}
        return name, settings


class _Chain(Mapping[str, Layout]):
    """Layouts by operation; those inside a shuffle, which were not kept, count as tangled."""

    def __init__(self, divider: _Divider) -> None:
        self.divider = divider

    def __getitem__(self, name: str) -> Layout:
        found = self.divider.layouts.get(name)
        if found is not None:
            return found
        shape = self.divider.wiring.op(name).shape
        return Layout(torch.arange(4).view(2, 2, *[1] * max(len(shape) - 2, 0)), shape)

    def __iter__(self) -> Iterable[str]:  # type: ignore[override]
        return iter(self.divider.layouts)

    def __len__(self) -> int:
        return len(self.divider.layouts)


def _layout(axis: int | None, rows: Tensor, shape: tuple[int, ...]) -> Layout:
    if axis is None:
        return Layout(torch.zeros([1] * len(shape), dtype=torch.long), shape)
    return Layout(
        torch.arange(shape[axis]).view([-1 if d == axis else 1 for d in range(len(shape))]), shape
    )


def _pad_index(op: TracedOp, axis: int) -> int:
    return len(op.shape) - 1 - axis


def _lost(op: TracedOp) -> ConversionError:
    return ConversionError(
        explain(
            where=f"distill: module `{op.path}`",
            rule="channels must be divisible among groups at every operation",
            found=f"operation `{op.operation}` of {op.shape}",
            do="rewrite that step with a plain permutation or reshape",
        )
    )


def has_bank(op: TracedOp) -> bool:
    """Return whether an operation has filters."""
    known = vocabulary().get(op.operation)
    return known is not None and known.kind in _BANKS
