"""From any `nn.Module` to a list of known operations, by way of `torch.export`.

The ATen graph of one example input has no Python control flow left, its parameters keep their
names, and its operators are few: all that is needed to follow every channel through the network.
The graph is taken in evaluation mode; the supernet itself still runs the user's own module.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind

from sfg_nas.errors import ConversionError
from sfg_nas.operations import BANKS, Kind, Setting, canonical_name, vocabulary
from sfg_nas.sharing.batches import (
    check_numbers,
    piece_of_batches,
    slice_of_batches,
    whole_settings,
)
from sfg_nas.sharing.examples import check_examples_are_apart, check_operation
from sfg_nas.sharing.exported import (
    AS_SHAPE,
    arguments_of,
    bad_heads,
    free_axis,
    free_sizes,
    path_of,
    refusal,
    setting_of,
    shape_of,
)
from sfg_nas.sharing.program import export_program
from sfg_nas.sharing.record import Record
from sfg_nas.sharing.rewrites import REWRITES
from sfg_nas.sharing.traced import BackboneWithHeads, TracedNetwork, TracedOp, is_kind

# operators that pass on one value as it is; what has no gradient by intention is marked
_COPIES = ("type_as", "to.device", "to.other", "to.prim_Device", "lift_fresh_copy", "detach")
_Arguments = tuple[dict[str, tuple[str, ...]], dict[str, str], dict[str, Setting]]


def trace(network: BackboneWithHeads, example: Tensor) -> TracedNetwork:
    """Return the operations that a network runs on an example.

    Args:
        network: Backbone and heads; left as it is.
        example: An input `[N, C, H, W]` (or with one or three spatial dimensions); only its
            shape without the batch and its type matter.

    Raises:
        ConversionError: The network cannot be exported, mixes examples, or holds an unknown operation.
    """
    try:
        program = export_program(network, example, _is_known)
        traced = _Reader(program, network).read()
        check_examples_are_apart(program, traced, network, example)
    except ConversionError as err:
        raise ConversionError(_with_tasks(str(err), network.tasks)) from err.__cause__
    return traced


def _with_tasks(message: str, tasks: Sequence[str]) -> str:
    """Return a message in which heads are named by their tasks."""
    return re.sub(
        r"(?<=`heads\.)(\d+)(?=[.`])",
        lambda m: tasks[int(m[1])] if int(m[1]) < len(tasks) else m[1],
        message,
    )


def _is_known(name: str) -> bool:
    return name in vocabulary() or name in _COPIES or name in AS_SHAPE or name in REWRITES


def _is_bank(name: str) -> bool:
    return name in vocabulary() and vocabulary()[name].kind in BANKS


def _one_way_each(ops: Iterable[TracedOp], statics: dict[str, fx.Node | str]) -> list[TracedOp]:
    """Return operations in which filter banks of one key all use it in the same way.

    A weight that also serves as that of a transposed convolution has other filters there.
    """
    ways: dict[str, tuple[bool, Setting]] = {}
    result = []
    for op in ops:
        key = op.statics.get("weight")
        if key is not None and is_kind(op, *BANKS):
            way = is_kind(op, Kind.CONV_TRANSPOSE), op.settings.get("groups", 1)
            if ways.setdefault(key, way) != way:
                other = f"{key}:{op.operation}:{way[1]}"
                statics[other] = statics[key]
                op = replace(op, statics={**op.statics, "weight": other})  # noqa: PLW2901
        result.append(op)
    return result


def _at_home(ops: Sequence[TracedOp]) -> tuple[TracedOp, ...]:
    """Return operations of which each head reads its own or the backbone's.

    A step that gives back the tensor it got, or changes it in place, stands in the graph for all who
    read that tensor later. What several heads read belongs to the backbone.
    """
    heads = {op.name: op.head for op in ops}
    for op in reversed(ops):
        for source in op.sources:
            if heads[source] != heads[op.name]:
                heads[source] = None
    return tuple(replace(op, head=heads[op.name]) for op in ops)


class _Reader:
    """Turns the nodes of an exported graph into `TracedOp`s."""

    def __init__(self, program: ExportedProgram, network: BackboneWithHeads) -> None:
        self.program = program
        state = {**program.state_dict, **program.constants}
        known = network.state_dict().keys()  # read there: a copy here would hold the memory
        tensors = {k: v for k, v in state.items() if isinstance(v, Tensor) and k not in known}
        self.record = Record(network, tensors)

    def read(self) -> TracedNetwork:
        record = self.record
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
        split = len(leaves) - len(record.tasks)
        outputs = [name for name in leaves[split:] if name is not None]
        if split < 0 or len(outputs) != len(record.tasks):
            raise bad_heads(len(record.tasks))
        return TracedNetwork(
            record.tasks,
            _at_home(_one_way_each(record.alive(leaves), record.statics)),
            tuple(leaves[:split]),
            tuple(outputs),
            record.statics,
            record.constants,
            record.batched,
            lasting=record.lasting,
        )

    def _placeholder(self, node: fx.Node, targets: Mapping[str, str]) -> None:
        if node.name in targets:
            self.record.statics[node.name] = targets[node.name]
            return
        shape = shape_of(node)
        self.record.add(node, TracedOp("input", "input", "", {}, {}, {}, None, shape, None))

    def _call(self, node: fx.Node) -> None:
        record = self.record
        value = node.meta.get("val")
        if node.target is operator.getitem and isinstance(node.args[0], fx.Node):
            source = node.args[0].name
            if source in record.lists:
                self._item(node, record.lists[source])
                return
            if source in record.names and node.args[1] == 0:  # the first result of a rewrite
                record.names[node.name] = record.names[source]
                return
        if value is None or isinstance(
            value, int | float | bool | torch.SymInt | torch.SymFloat | torch.SymBool
        ):
            return
        activations = [
            n for n in node.all_input_nodes if n.name in record.names or n.name in record.lists
        ]
        if not activations:
            if isinstance(node.target, OpOverload) and free_axis(node) is None:
                check_numbers(node, canonical_name(node.target))
            record.static(node)
            return
        self._operation(node, isinstance(value, Sequence))

    def _operation(self, node: fx.Node, several: bool) -> None:
        record = self.record
        name = canonical_name(node.target) if isinstance(node.target, OpOverload) else ""
        if not _is_known(name):
            raise refusal(path_of(node), str(node.target))
        if not _is_bank(name):
            check_numbers(node, name)
        if name in REWRITES:
            record.names[node.name] = REWRITES[name](record, node)
            return
        first = node.all_input_nodes[0].name
        if first not in record.names and first in record.statics:
            if name in _COPIES:  # a constant, as an activation has its type and device
                record.statics[node.name] = record.statics[first]
                return
            if name in AS_SHAPE:
                record.names[node.name] = record.repeated(node, first)
                return
        check_operation(node)
        if slice_of_batches(record, node, name):
            return
        self._plain(node, name, several)

    def _plain(self, node: fx.Node, name: str, several: bool) -> None:
        path, record = path_of(node), self.record
        operands, statics, settings = self._arguments(node, name)
        if _is_bank(name):
            if list(operands) != ["input"] or "weight" not in statics:
                raise refusal(path, f"{name} with a weight computed from activations")
            check_numbers(node, name)
        whole_settings(node, name, settings)
        if name == "batch_norm":
            settings["momentum"] = record.momentum(path, settings["momentum"])
        shape = () if several else shape_of(node)
        name = "clone" if name in _COPIES else name
        if name in AS_SHAPE:
            name, size = AS_SHAPE[name]
            settings[size] = list(shape)
        unique, head = record.unique(path, name), record.head(path)
        op = TracedOp(unique, name, path, operands, statics, settings, None, shape, head)
        if several:
            record.lists[node.name] = op
            return
        free_sizes(name, settings, node)
        record.add(node, replace(op, free=free_axis(node) or 0))

    def _arguments(self, node: fx.Node, name: str) -> _Arguments:
        """Return the arguments of an operation: activations, static tensors, and the rest."""
        record = self.record
        operands: dict[str, tuple[str, ...]] = {}
        statics: dict[str, str] = {}
        settings: dict[str, Setting] = {}
        for argument, value in arguments_of(node):
            if argument == "other" and (name in AS_SHAPE or name in _COPIES):
                continue
            tensors = record.tensors(value)
            if tensors is None:
                if name not in _COPIES:
                    settings[argument] = setting_of(value)
            elif any(t in record.names for t in tensors) or self._runs_per_example(node, tensors):
                operands[argument] = tuple(
                    record.names[t] if t in record.names else record.activation(node, t)
                    for t in tensors
                )
            elif vocabulary()[name].kind is Kind.MOVEMENT:
                settings[argument] = record.value(tensors[0]).tolist()
            else:
                statics[argument] = record.same(tensors[0])
                self._note_batch(node, statics[argument])
        return operands, statics, settings

    def _runs_per_example(self, node: fx.Node, tensors: list[str]) -> bool:
        """Return whether constants must stand there as activations do, one for each example."""
        kind = vocabulary()[canonical_name(node.target)].kind  # type: ignore[arg-type]
        if kind not in (Kind.MOVEMENT, Kind.MIX):
            return len(tensors) > 1
        sources = [self.record.statics[t] for t in tensors]
        return all(isinstance(s, fx.Node) and free_axis(s) is not None for s in sources)

    def _note_batch(self, node: fx.Node, key: str) -> None:
        """Remember a constant that is repeated along the batch: one copy broadcasts as well."""
        source = self.record.statics[key]
        free = free_axis(source) if isinstance(source, fx.Node) else None
        if free is not None:
            self.record.repeat(node, key, free)

    def _item(self, node: fx.Node, source: TracedOp) -> None:
        item = node.args[1]
        if piece_of_batches(self.record, node):
            return
        if not isinstance(item, int):
            raise refusal(source.path, f"item {item!r} of {source.operation}")
        name = self.record.unique(source.path, source.operation)
        shape, free = shape_of(node), free_axis(node) or 0
        self.record.add(node, replace(source, name=name, item=item, shape=shape, free=free))

    def _leaves(self, node: fx.Node) -> list[str | None]:
        """Return the operation behind every result of the graph: features, then outputs."""
        results = node.args[0]
        assert isinstance(results, list | tuple)
        kinds = [spec.kind for spec in self.program.graph_signature.output_specs]
        return [
            self.record.names.get(r.name) if isinstance(r, fx.Node) else None
            for r, kind in zip(results, kinds, strict=True)
            if kind is OutputKind.USER_OUTPUT
        ]
