"""The growing list of operations while a graph is read, with names nothing else has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.nn.modules.batchnorm import _BatchNorm

from sfg_nas.operations import NORMS, Setting
from sfg_nas.sharing.exported import free_axis, is_mutable, path_of, refusal, shape_of
from sfg_nas.sharing.marks import MARK
from sfg_nas.sharing.own_calls import nearby
from sfg_nas.sharing.traced import (
    BATCH,
    BackboneWithHeads,
    TracedOp,
    is_kind,
    public_path,
    static_targets,
    static_value,
)


class Record:
    """What has been read of a graph so far.

    Attributes:
        tasks: Names of the tasks.
        ops: The operations by name, in order.
        statics: Nodes or state-dict keys of values that need no activation, by key.
        names: Graph node to the name of its operation.
        lists: Graph nodes with several results.
        batched: Statics that are repeated along the batch: the dimension it lies in, and how many places of it are kept.
        constants: Tensors of the program that are in no state dict.
        lasting: Whether no value was read that depends on parameters.
    """

    def __init__(self, network: BackboneWithHeads, constants: Mapping[str, Tensor]) -> None:
        self.tasks = network.tasks
        self.leaves = {name for name, m in network.named_modules() if not [*m.children()]}
        self._cumulative = {
            name
            for name, m in network.named_modules()
            if isinstance(m, _BatchNorm) and m.momentum is None
        }
        self.ops: dict[str, TracedOp] = {}
        self.statics: dict[str, fx.Node | str] = {}
        self.names: dict[str, str] = {}
        self.lists: dict[str, TracedOp] = {}
        self.batched: dict[str, tuple[int, int]] = {}
        self.constants = constants
        self.lasting = True
        self._state = network.state_dict()
        self._parameters = {name for name, _ in network.named_parameters(remove_duplicate=False)}
        self._activations: dict[str, str] = {}  # statics that became operations
        self._first: dict[object, str] = {}  # what a static node computes -> the first that does
        self._same: dict[str, str] = {}

    def add(self, node: fx.Node, op: TracedOp) -> None:
        """Append the operation of a node."""
        self.ops[op.name] = op
        self.names[node.name] = op.name

    def step(
        self,
        path: str,
        operation: str,
        operands: Mapping[str, tuple[str, ...]],
        shape: tuple[int, ...],
        *,
        statics: Mapping[str, str] | None = None,
        settings: Mapping[str, Setting] | None = None,
        free: int = 0,
    ) -> str:
        """Append an operation that stands for part of a node, and return its name."""
        name = self.unique(path, operation)
        head = self.head(path)
        self.ops[name] = TracedOp(
            name, operation, path, operands, statics or {}, settings or {}, None, shape, head, free
        )
        return name

    def tensors(self, value: object) -> list[str] | None:
        """Return the graph nodes of a tensor argument, None if it is not one."""
        nodes = [value] if isinstance(value, fx.Node) else value
        if not isinstance(nodes, list | tuple) or not nodes:
            return None
        known = [n.name for n in nodes if isinstance(n, fx.Node) and self.is_tensor(n.name)]
        return known if len(known) == len(nodes) else None

    def is_tensor(self, name: str) -> bool:
        """Return whether a graph node is an activation or a static value."""
        return name in self.names or name in self.statics

    def static(self, node: fx.Node) -> None:
        """Remember a node that needs no activation; a mark is none: dropout leaves it as it is in evaluation mode."""
        target = node.target
        if str(target) == MARK:
            source = node.all_input_nodes[0].name
            self.statics[node.name], self._same[node.name] = self.statics[source], self.same(source)
            return
        self.statics[node.name] = node
        if not isinstance(target, OpOverload) or is_mutable(node):
            return
        if torch.Tag.nondeterministic_seeded in target.tags:
            return
        computed = (target, self._plain(node.args), self._plain([*node.kwargs.items()]))
        try:
            self._same[node.name] = self._first.setdefault(computed, node.name)
        except TypeError:  # an argument that cannot be looked up
            return

    def _plain(self, value: object) -> object:
        """Return an argument as it can be looked up; numbers of other types are others."""
        if isinstance(value, fx.Node):
            return "node", self.same(value.name)
        if isinstance(value, list | tuple):
            return tuple(self._plain(item) for item in value)
        return type(value), value

    def same(self, key: str) -> str:
        """Return the key of the first static value that is computed as this one: a weight that is computed anew in each call is one."""
        return self._same.get(key, key)

    def value(self, key: str) -> Tensor:
        """Return a static value as it is now."""
        if static_targets(self.statics, key) & self._parameters:
            self.lasting = False
        return static_value(self.statics, self.constants, key, self._state)

    def activation(self, node: fx.Node, key: str) -> str:
        """Return an operation that gives a static value for every example.

        It is zeros, which belong to nobody in particular, plus the value.

        Raises:
            ConversionError: The value is not one number per place, or differs between examples.
        """
        if key in self._activations:
            return self._activations[key]
        source = self.statics[key]
        free = free_axis(source) if isinstance(source, fx.Node) else None
        if not isinstance(source, fx.Node) or free is None:
            raise refusal(path_of(node), f"{node.target} over activations and constants")
        copies = self.repeat(node, key, free, beside=free == 0)
        name = self._added(path_of(node), key, shape_of(source), free, copies)
        self._activations[key] = name
        return name

    def repeated(self, node: fx.Node, key: str) -> str:
        """Return an operation that gives a static value in the shape of a node: zeros and the value.

        Raises:
            ConversionError: Its numbers do not stand along the last dimensions of that shape.
        """
        path, shape, free = path_of(node), shape_of(node), free_axis(node)
        value = self.value(key)
        sizes = zip(reversed(value.shape), reversed(shape), strict=False)
        fits = value.dim() <= len(shape) and all(own in (1, size) for own, size in sizes)
        if free is None or not fits:
            raise refusal(path, f"{node.target} of a constant")
        return self._added(path, key, shape, free)

    def _added(
        self, path: str, key: str, shape: tuple[int, ...], free: int, copies: int = 1
    ) -> str:
        """Return an operation that adds a static value to zeros; what lies beside the examples, in front, apart from them."""
        apart = shape if copies == 1 else (shape[0] // copies, copies, *shape[1:])
        zeros = self.step(path, "constant", {}, apart, free=free)
        name = self.step(
            path, "add.Tensor", {"self": (zeros,)}, apart, statics={"other": key}, free=free
        )
        if copies == 1:
            return name
        together: Setting = [-1, *shape[1:]]
        return self.step(
            path, "reshape", {"self": (name,)}, shape, settings={"shape": together}, free=free
        )

    def repeat(self, node: fx.Node, key: str, free: int, *, beside: bool = False) -> int:
        """Remember that a static value is repeated along the batch: what one example has of it is kept.

        That it is must hold for any parameters, not for those that it has now: all may be zero.

        Args:
            node: The operation that uses it.
            key: Of the value.
            free: The dimension of the batch.
            beside: Whether several places of it, such as heads of an attention, may belong to each example.

        Returns:
            How many places along that dimension are kept.

        Raises:
            ConversionError: It differs between examples, or is not made of real numbers.
        """
        targets = static_targets(self.statics, key) & self._state.keys()
        changed = {name: nearby(self._state[name], i) for i, name in enumerate(targets)}
        value = static_value(self.statics, self.constants, key, {**self._state, **changed})
        counts = (1, value.shape[free] // BATCH) if beside else (1,)
        kept = [n for n in counts if n and _is_repeated(value, free, n)]
        if not kept or value.is_complex():
            raise refusal(path_of(node), f"{node.target} over a constant for each example")
        self.batched[key] = free, kept[0]
        return kept[0]

    def momentum(self, path: str, given: Setting) -> Setting:
        """Return how fast the statistics of a batch norm move.

        In evaluation mode torch hands over 0 for `momentum=None`, a mean over all batches, as for 0 itself, which is
        written as the least number above it.
        """
        return given if given or path in self._cumulative else torch.finfo(torch.float).tiny

    def alive(self, ends: Iterable[str | None]) -> list[TracedOp]:
        """Return the operations without those that nothing reads and that have no weights and are no norms.

        `nn.MultiheadAttention` averages its weights over its heads for callers who drop them, say, which would tie the
        heads to each other.

        Args:
            ends: Names of operations that are read from outside.
        """
        read, found = {*ends}, []
        for op in reversed(self.ops.values()):
            if op.name in read or op.statics or op.operation == "input" or is_kind(op, *NORMS):
                read.update(op.sources)
                found.append(op)
        return found[::-1]

    def head(self, path: str) -> int | None:
        """Return the task whose head a module path lies in, None in the backbone."""
        match = re.match(r"heads\.(\d+)(\.|$)", path)
        return int(match.group(1)) if match else None

    def unique(self, path: str, operation: str) -> str:
        """Return a name that is not yet taken: the path, or the path and the operation."""
        shown = public_path(path, self.tasks)
        leaf = path in self.leaves and shown not in self.ops
        name = shown if leaf else f"{shown}:{operation.partition('.')[0]}".lstrip(":")
        count = 2
        unique = name
        taken = {op.name for op in self.lists.values()} | {"output"}  # which graphs call their ends
        while unique in self.ops or unique in taken:
            unique = f"{name}#{count}"
            count += 1
        return unique


def _is_repeated(value: Tensor, dim: int, count: int) -> bool:
    """Return whether a value is its first places along a dimension, again and again."""
    first = value.narrow(dim, 0, count)
    times = [value.shape[dim] // count if d == dim else 1 for d in range(value.dim())]
    return value.shape[dim] % count == 0 and torch.allclose(
        first.repeat(times), value, rtol=0, atol=0, equal_nan=True
    )
