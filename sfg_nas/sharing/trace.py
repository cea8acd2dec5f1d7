"""From any `nn.Module` to a list of known operations, by way of `torch.export`.

The ATen graph of one example input has no Python control flow left, its parameters keep their
names, and its operators are few: all that is needed to follow every channel through the network.
The graph is taken in evaluation mode; the supernet itself still runs the user's own module.
"""

from __future__ import annotations

import copy
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram, export
from torch.utils._pytree import tree_leaves

from sfg_nas.errors import ConversionError, explain
from sfg_nas.operations import Setting, canonical_name
from sfg_nas.sharing.exported import (
    arguments_of,
    bad_heads,
    free_batch,
    path_of,
    refusal,
    setting_of,
    shape_of,
)
from sfg_nas.sharing.traced import (
    BATCH,
    BackboneWithHeads,
    TracedNetwork,
    TracedOp,
    public_path,
)

_COPIES = ("type_as", "to.device", "to.other", "to.prim_Device", "lift_fresh_copy")  # of one value
_AS_SHAPE = {
    "expand_as": ("expand", "size"),
    "view_as": ("view", "size"),
    "reshape_as": ("reshape", "shape"),
}


def trace(network: BackboneWithHeads, example: Tensor) -> TracedNetwork:
    """Return the operations that a network runs on an example.

    Args:
        network: Backbone and heads; left as it is.
        example: An input `[N, C, H, W]` (or with one or three spatial dimensions); only its
            shape without the batch and its type matter.

    Raises:
        ConversionError: The network cannot be exported, or holds an unknown operation.
    """
    program = _export(network, example)
    return _Reader(program, network).read()


class _WithFeatures(nn.Module):
    """Gives the features beside the outputs, under the module paths of the original."""

    def __init__(self, network: BackboneWithHeads) -> None:
        super().__init__()
        self.backbone = network.backbone
        self.heads = network.heads

    def forward(self, x: Tensor) -> tuple[list[object], list[object]]:
        features = self.backbone(x)
        return tree_leaves(features), [head(features) for head in self.heads]


def _export(network: BackboneWithHeads, example: Tensor) -> ExportedProgram:
    twin = _WithFeatures(copy.deepcopy(network).eval())
    batch = example[:1].detach().expand(BATCH, *example.shape[1:]).contiguous()
    try:
        with torch.no_grad():
            return export(twin, (batch,), dynamic_shapes=({0: Dim.AUTO},), strict=False)
    except Exception as err:
        lines = str(err).strip().splitlines() or [type(err).__name__]
        raise ConversionError(
            explain(
                where="convert",
                rule="the backbone and heads must run on the example input and be exportable",
                found=f"{type(err).__name__}: {lines[0][:300]}",
                do="check the example's shape; keep data-dependent Python out of `forward`",
            )
        ) from err


class _Reader:
    """Turns the nodes of an exported graph into `TracedOp`s."""

    def __init__(self, program: ExportedProgram, network: BackboneWithHeads) -> None:
        self.program = program
        self.tasks = network.tasks
        self.leaves = {name for name, m in network.named_modules() if not [*m.children()]}
        self.ops: dict[str, TracedOp] = {}
        self.statics: dict[str, fx.Node | str] = {}
        self.names: dict[str, str] = {}  # graph node -> name of its operation
        self.lists: dict[str, TracedOp] = {}  # graph nodes with several results

    def read(self) -> TracedNetwork:
        signature = self.program.graph_signature
        targets = {s.arg.name: s.target for s in signature.input_specs if s.target is not None}
        leaves: list[str | None] = []
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node, targets)
            elif node.op == "call_function":
                self._call(node)
            elif node.op == "output":
                leaves = self._leaves(node)
            else:
                raise refusal(path_of(node), f"{node.op} {node.target}")
        state = {**self.program.state_dict, **self.program.constants}
        constants = {k: v for k, v in state.items() if isinstance(v, Tensor)}
        split = len(leaves) - len(self.tasks)
        outputs = [name for name in leaves[split:] if name is not None]
        if split < 0 or len(outputs) != len(self.tasks):
            raise bad_heads(len(self.tasks))
        return TracedNetwork(
            self.tasks,
            tuple(self.ops.values()),
            tuple(leaves[:split]),
            tuple(outputs),
            self.statics,
            constants,
        )

    def _placeholder(self, node: fx.Node, targets: Mapping[str, str]) -> None:
        if node.name in targets:
            self.statics[node.name] = targets[node.name]
            return
        shape = shape_of(node)
        self._add(node, TracedOp("input", "input", "", {}, {}, {}, None, shape, None))

    def _call(self, node: fx.Node) -> None:
        value = node.meta.get("val")
        if node.target is operator.getitem and isinstance(node.args[0], fx.Node):
            source = node.args[0].name
            if source in self.lists:
                self._item(node, self.lists[source])
                return
        if value is None or isinstance(
            value, int | float | bool | torch.SymInt | torch.SymFloat | torch.SymBool
        ):
            return
        activations = [
            n for n in node.all_input_nodes if n.name in self.names or n.name in self.lists
        ]
        if not activations:
            self.statics[node.name] = node
            return
        self._operation(node, isinstance(value, Sequence))

    def _operation(self, node: fx.Node, several: bool) -> None:
        path = path_of(node)
        name = canonical_name(node.target)  # type: ignore[arg-type]
        if name == "glu":
            self._glu(node)
            return
        operands, statics, settings = self._arguments(node, name)
        shape = () if several else shape_of(node)
        name = "clone" if name in _COPIES else name
        if name in _AS_SHAPE:
            name, size = _AS_SHAPE[name]
            settings[size] = list(shape)
        free_batch(name, settings, shape)
        unique, head = self._unique(path, name), self._head(path)
        op = TracedOp(unique, name, path, operands, statics, settings, None, shape, head)
        if several:
            self.lists[node.name] = op
        else:
            self._add(node, op)

    def _arguments(
        self, node: fx.Node, name: str
    ) -> tuple[dict[str, tuple[str, ...]], dict[str, str], dict[str, Setting]]:
        """Return the arguments of an operation: activations, static tensors, and the rest."""
        operands: dict[str, tuple[str, ...]] = {}
        statics: dict[str, str] = {}
        settings: dict[str, Setting] = {}
        for argument, value in arguments_of(node):
            if argument == "other" and (name in _AS_SHAPE or name in _COPIES):
                continue
            tensors = self._tensors(value)
            if tensors is None:
                if name not in _COPIES:
                    settings[argument] = setting_of(value)
            elif all(t in self.names for t in tensors):
                operands[argument] = tuple(self.names[t] for t in tensors)
            elif len(tensors) == 1:
                statics[argument] = tensors[0]
            else:
                raise refusal(path_of(node), f"{node.target} over activations and constants")
        return operands, statics, settings

    def _item(self, node: fx.Node, source: TracedOp) -> None:
        item = node.args[1]
        if not isinstance(item, int):
            raise refusal(source.path, f"item {item!r} of {source.operation}")
        name = self._unique(source.path, source.operation)
        self._add(node, replace(source, name=name, item=item, shape=shape_of(node)))

    def _glu(self, node: fx.Node) -> None:
        """Write `glu` as the product of one half and the sigmoid of the other."""
        source = self.names[node.all_input_nodes[0].name]
        dim = dict(arguments_of(node)).get("dim", -1)
        path, shape = path_of(node), shape_of(node)
        axis = int(dim) % len(shape)  # type: ignore[call-overload]
        halves = []
        for half in range(2):
            settings: dict[str, Setting] = {
                "dim": axis,
                "start": half * shape[axis],
                "length": shape[axis],
            }
            halves.append(self._step(path, "narrow", {"self": (source,)}, settings, shape))
        gate = self._step(path, "sigmoid", {"self": (halves[1],)}, {}, shape)
        self.names[node.name] = self._step(
            path, "mul.Tensor", {"self": (halves[0],), "other": (gate,)}, {}, shape
        )

    def _step(
        self,
        path: str,
        operation: str,
        operands: Mapping[str, tuple[str, ...]],
        settings: Mapping[str, Setting],
        shape: tuple[int, ...],
    ) -> str:
        name = self._unique(path, operation)
        self.ops[name] = TracedOp(
            name, operation, path, operands, {}, settings, None, shape, self._head(path)
        )
        return name

    def _tensors(self, value: object) -> list[str] | None:
        """Return the graph nodes of a tensor argument, None if it is not one."""
        nodes = [value] if isinstance(value, fx.Node) else value
        if not isinstance(nodes, list | tuple) or not nodes:
            return None
        known = [n.name for n in nodes if isinstance(n, fx.Node) and self._is_tensor(n.name)]
        return known if len(known) == len(nodes) else None

    def _is_tensor(self, name: str) -> bool:
        return name in self.names or name in self.statics

    def _leaves(self, node: fx.Node) -> list[str | None]:
        """Return the operation behind every result of the graph: features, then outputs."""
        results = node.args[0]
        assert isinstance(results, list | tuple)
        return [self.names.get(r.name) if isinstance(r, fx.Node) else None for r in results]

    def _add(self, node: fx.Node, op: TracedOp) -> None:
        self.ops[op.name] = op
        self.names[node.name] = op.name

    def _head(self, path: str) -> int | None:
        match = re.match(r"heads\.(\d+)(\.|$)", path)
        return int(match.group(1)) if match else None

    def _unique(self, path: str, operation: str) -> str:
        """Return a name that is not yet taken: the path, or the path and the operation."""
        shown = public_path(path, self.tasks)
        leaf = path in self.leaves and shown not in self.ops
        name = shown if leaf else f"{shown}:{operation.partition('.')[0]}".lstrip(":")
        count = 2
        unique = name
        while unique in self.ops or unique in {op.name for op in self.lists.values()}:
            unique = f"{name}#{count}"
            count += 1
        return unique
