"""From a supernet and an allocation to the architecture graph."""

from __future__ import annotations

import networkx as nx
import torch
from torch import Tensor

from sfg_nas.allocation import Allocation
from sfg_nas.architecture import Architecture
from sfg_nas.architecture.form import ONE_SIZE
from sfg_nas.fixed.banks import write_bank, write_mixing_norm, write_own, write_read
from sfg_nas.fixed.moves import write_movement
from sfg_nas.fixed.other_sizes import has_one_size
from sfg_nas.fixed.part import Part
from sfg_nas.groups import Groups
from sfg_nas.operations import BANKS, Kind
from sfg_nas.sharing.names import plain_parameters
from sfg_nas.sharing.supernet import Supernet
from sfg_nas.sharing.traced import TracedOp, is_kind
from sfg_nas.sharing.units import Layout


def distill(supernet: Supernet, allocation: Allocation | None = None) -> Architecture:
    """Return the architecture of a hard allocation.

    Every operation of the user's network is written once per group that owns channels of it, over
    those channels alone; what no head can reach is left out. Whether the graph holds for images of
    other sizes is tried once for each supernet.

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
    one_size = has_one_size(supernet, lambda groups: _Divider(supernet, groups).divide())
    return _Divider(supernet, hard.cpu()).divide(one_size=one_size)


class _Divider:
    """Writes the nodes of one architecture, operation by operation."""

    def __init__(self, supernet: Supernet, hard: Tensor) -> None:
        self.wiring = supernet.wiring
        self.groups: Groups = supernet.groups
        fixed = torch.arange(len(self.groups.extended))
        self.owner_of_row = torch.cat([hard, fixed])
        self.statics = supernet.static_values()
        self.initial = supernet.initial
        self.graph: nx.DiGraph[str] = nx.DiGraph()
        self.parts: dict[str, dict[int, str]] = {}  # operation -> owner -> node
        self.layouts = {
            name: _positions(axis, self.wiring.op(name).shape)
            for name, (axis, _) in self.wiring.rows.items()
        }
        self.trained = plain_parameters(supernet.network)
        self.frozen = supernet.frozen

    def divide(self, *, one_size: bool = False) -> Architecture:
        first = self.wiring.network.ops[0]
        groups = [[self.groups.tasks[i] for i in sorted(g)] for g in self.groups.sets]
        self.graph.graph.update(
            schema=1,
            tasks=list(self.groups.tasks),
            groups=groups,
            input_shape=list(first.shape[1:]),
        )
        if one_size:
            self.graph.graph[ONE_SIZE] = True
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
        one = axis is None and not self.wiring.is_copied(op.name)
        if one and is_kind(op, Kind.LINEAR):  # of one owner, yet along the last dimension
            axis = len(op.shape) - 1
            rows = rows.expand(op.shape[axis])
        owners = self.owner_of_row[rows]
        parts: dict[int, str] = {}
        for owner in sorted(set(owners.tolist())):
            if op.head is not None and not self.groups.reads[self._head(op), owner]:
                continue
            if axis is None:
                channels = list(range(op.shape[1] if len(op.shape) > 1 else 1))
            else:
                channels = torch.nonzero(owners == owner).reshape(-1).tolist()
            part = Part(self, op, order=order, owner=owner, axis=axis, channels=channels)
            parts[owner] = _write_part(part)
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

    def is_trained(self, key: str) -> bool:
        """Return whether a static value is, or depends on, a parameter."""
        return bool(self.wiring.network.static_targets(key) & self.trained)

    def is_frozen(self, key: str) -> bool:
        """Return whether training leaves a static value as it is, though it is one of parameters or of running statistics."""
        targets = self.wiring.network.static_targets(key)
        return bool(targets & self.frozen) and not targets & (self.trained - self.frozen)

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


def _write_part(part: Part) -> str:
    """Write the node of one operation for one owner."""
    op = part.op
    if op.operation in ("input", "constant"):
        return part.node(op.operation, {}, {"free": op.free} if op.free else {})
    if op.operation == "read":
        return write_read(part)
    if op.operation == "own":
        return write_own(part)
    if is_kind(op, *BANKS):
        return write_bank(part)
    if is_kind(op, Kind.MIXING_NORM):
        return write_mixing_norm(part)
    if is_kind(op, Kind.MOVEMENT):
        return write_movement(part)
    return part.plain(op.operation, dict(op.settings))


def _positions(axis: int | None, shape: tuple[int, ...]) -> Layout:
    """Return the layout in which every position along the channel axis has its own label."""
    if axis is None:
        return Layout(torch.zeros([1] * len(shape), dtype=torch.long), shape)
    return Layout(
        torch.arange(shape[axis]).view([-1 if d == axis else 1 for d in range(len(shape))]), shape
    )
