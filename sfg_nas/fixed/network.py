"""The fixed network: a plain `nn.Module` of small dense layers, built from an architecture."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sfg_nas.architecture import Architecture, Node
from sfg_nas.errors import ArchitectureError, explain
from sfg_nas.fixed.layers import (
    Constant,
    ReadNorm,
    Select,
    constant,
    make_bank,
    make_channel_norm,
    with_constants,
)
from sfg_nas.fixed.lean import lean_steps, may_be_lean
from sfg_nas.fixed.pooling import POOLS, compared
from sfg_nas.fixed.steps import Run, Step, with_lifetimes
from sfg_nas.operations import Kind, Operation, Setting, run_operation, vocabulary

_BANKS = (Kind.CONV, Kind.CONV_TRANSPOSE, Kind.LINEAR)
_IMAGE = -1  # place of the network's input
_LISTS = ("cat", "concat", "stack", "hstack")


class FixedNetwork(nn.Module):
    """The compact branched network of an architecture: no masks, only what is read is computed.

    Attributes:
        architecture: The graph it was built from.
        layers: Modules with weights, by node name with dots written as underscores.
    """

    def __init__(self, architecture: Architecture) -> None:
        """Build all layers with PyTorch's default initialisation.

        Raises:
            ArchitectureError: A node's settings do not make a layer.
        """
        super().__init__()
        self.architecture = architecture
        self.layers = nn.ModuleDict()
        self.module_of: dict[str, str] = {}
        self._steps: list[Step] = []
        self._lean: list[Step] = []
        self._outputs: dict[str, int] = {}
        self._build()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return every task's output for a batch `[N, C, H, W]`."""
        values: dict[int, Tensor] = {_IMAGE: x}
        for step in self._lean if may_be_lean(x, self) else self._steps:
            inputs = [[values[i] for i in places] for places in step.sources]
            values[step.target] = step.run(inputs, self.training)
            for place in step.free:
                del values[place]
        return {task: values[place] for task, place in self._outputs.items()}

    def features(self, x: Tensor, nodes: Collection[str]) -> dict[str, Tensor]:
        """Return what some nodes of the architecture give for a batch, `[N, F, ...]` each.

        Args:
            x: A batch `[N, C, H, W]`.
            nodes: Names of nodes.
        """
        values: dict[int, Tensor] = {_IMAGE: x}
        found: dict[str, Tensor] = {}
        for step in self._steps:
            inputs = [[values[i] for i in places] for places in step.sources]
            values[step.target] = step.run(inputs, self.training)
            if step.node in nodes:
                found[step.node] = values[step.target]
            for place in step.free:
                del values[place]
        return found

    def only(self, tasks: str | Iterable[str]) -> FixedNetwork:
        """Return the smaller network that computes some of the tasks, with the same weights.

        Raises:
            ArchitectureError: A task is unknown.
        """
        part = FixedNetwork(self.architecture.only(tasks))
        state = self.state_dict()
        like = next((v for v in state.values() if v.is_floating_point()), None)
        if like is not None:
            part.to(like)
        part.load_state_dict({name: state[name] for name in part.state_dict()})
        return part.train(self.training)

    def _build(self) -> None:
        architecture = self.architecture
        order = architecture.in_order()
        place = {name: i for i, name in enumerate(order)}
        sources = {name: architecture.sources(name) for name in order}
        self._outputs = {task: place[name] for task, name in architecture.outputs().items()}
        steps: list[Step] = []
        for i, name in enumerate(order):
            node = architecture.node(name)
            taken = tuple(tuple(place[s] for s in operand) for operand in sources[name])
            if node["op"] in ("input", "constant"):
                taken = ((_IMAGE,),)
            try:
                run = self._runner(name, node)
            except (TypeError, ValueError, RuntimeError, KeyError, AssertionError) as err:
                raise ArchitectureError(
                    explain(
                        where=f"architecture: node `{name}`",
                        rule=f"its settings must make a layer `{node['op']}`",
                        found=f"{type(err).__name__}: {str(err)[:200]}",
                        do="correct the node",
                    )
                ) from err
            steps.append(Step(name, taken, i, run))
        kept = set(self._outputs.values())
        modules = {name: self.layers[key] for name, key in self.module_of.items()}
        operations = {name: architecture.node(name)["op"] for name in order}
        self._steps = with_lifetimes(steps, kept)
        self._lean = lean_steps(steps, modules, operations, kept)

    def _runner(self, name: str, node: Node) -> Run:
        """Return what computes a node from its operands."""
        operation = node["op"]
        if operation in ("input", "output"):
            return _first
        module = self._module(name, node)
        if module is None or isinstance(module, _Values):
            if module is not None:
                self.layers[self._key(name)] = module
            return self._functional(node, module)
        self.layers[self._key(name)] = module
        if isinstance(module, ReadNorm):
            return _Layer(module, operand=1, axis=module.axis)
        joined = -1 if operation == "linear" else 1
        if isinstance(module, Select):
            joined = module.axis
        return _Layer(module, operand=0, axis=joined)

    def _functional(self, node: Node, module: nn.Module | None) -> Run:
        return _Function(
            operation=vocabulary()[node["op"]],
            names=tuple(node["operands"]),
            item=node["item"],
            settings={k: _plain(v) for k, v in node["settings"].items()},
            listed=node["op"] in _LISTS,
            module=module,
        )

    def _module(self, name: str, node: Node) -> nn.Module | None:
        """Return the layer of a node, None if it has no weights."""
        operation = node["op"]
        if operation == "constant":
            return Constant(node)
        if operation == "select":
            return Select(_joined_positions(node["settings"]["positions"]), node["axis"] or 1)
        kind = vocabulary()[operation].kind
        if kind in _BANKS:
            return with_constants(make_bank(node, vocabulary()[operation]), node)
        if kind is Kind.CHANNEL_NORM:
            return make_channel_norm(node)
        if kind is Kind.MIXING_NORM and "over" in node["settings"]:
            own = node["channels"]
            read = [
                c
                for s in self.architecture.sources(name)[1]
                for c in self.architecture.node(s)["channels"]
            ]
            return ReadNorm(node, own, read)
        return _Values(node) if node["params"] else None

    def _key(self, name: str) -> str:
        """Return a module name for a node that is unique and holds no dots."""
        key = name.replace(".", "_").replace("@", "__")
        while key in self.layers or hasattr(nn.ModuleDict, key):
            key += "_"
        self.module_of[name] = key
        return key


# Objects, not closures: a deep copy of the network must run the copy's own layers.


@dataclass
class _Layer:
    """Runs a module on one operand, whose parts are joined."""

    module: nn.Module
    operand: int
    axis: int

    def __call__(self, inputs: list[list[Tensor]], _training: bool) -> Tensor:
        value: Tensor = self.module(_joined(inputs[self.operand], self.axis))
        return value


@dataclass
class _Function:
    """Runs an operation, with the values that it takes beside its operands."""

    operation: Operation
    names: tuple[str, ...]
    item: int | None
    settings: dict[str, Setting]
    listed: bool
    module: nn.Module | None

    def __call__(self, inputs: list[list[Tensor]], training: bool) -> Tensor:
        tensors: dict[str, Tensor | list[Tensor]] = {
            name: found if self.listed else found[0]
            for name, found in zip(self.names, inputs, strict=True)
        }
        if self.module is not None:
            tensors.update(dict(self.module.named_parameters()))
            tensors.update(dict(self.module.named_buffers()))
        if not training and self.operation.name in POOLS:
            pooled = compared(self.operation.name, inputs[0][0], self.settings)
            if pooled is not None:
                return pooled
        result = run_operation(self.operation, tensors, self.settings, training=training)
        value = result if self.item is None else result[self.item]
        assert isinstance(value, Tensor)
        return value


class _Values(nn.Module):
    """Constants and parameters of an operation that is not a layer (a scale, say)."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        for label, parameter in node["params"].items():
            value = torch.full(parameter["shape"], float(parameter["fill"]))
            if parameter["values"] is not None:
                value = constant(parameter)
            if parameter["trained"]:
                self.register_parameter(label, nn.Parameter(value))
            else:
                self.register_buffer(label, value)


def _first(inputs: list[list[Tensor]], _training: bool) -> Tensor:
    return inputs[0][0]


def _joined(tensors: list[Tensor], axis: int) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, axis)


def _joined_positions(value: object) -> list[int]:
    assert isinstance(value, list)
    return [int(v) for v in value]


def _plain(value: object) -> Setting:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    assert value is None or isinstance(value, bool | int | float | str)
    return value
