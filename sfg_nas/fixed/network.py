"""The fixed network: a plain `nn.Module` of small dense layers, built from an architecture."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from sfg_nas.architecture import Architecture, Node, tied
from sfg_nas.errors import ArchitectureError, explain
from sfg_nas.fixed.layers import (
    Constant,
    ReadNorm,
    Select,
    frozen,
    make_bank,
    make_channel_norm,
    started,
    with_constants,
)
from sfg_nas.fixed.lean import lean_steps, may_be_lean
from sfg_nas.fixed.runners import Function, Layer, Values, first
from sfg_nas.fixed.sizes import Sizes, bound, is_sized, unfit
from sfg_nas.fixed.steps import Run, Step, with_lifetimes
from sfg_nas.operations import BANKS, NORMS, Kind, Setting, vocabulary
from sfg_nas.sharing.names import free_key
from sfg_nas.sharing.unreached import damped, damping_of

_IMAGE = -1  # place of the network's input
_LISTS = ("cat", "concat", "stack", "hstack")


class FixedNetwork(nn.Module):
    """The compact branched network of an architecture: no masks, only what is read is computed.

    Attributes:
        architecture: The graph it was built from.
        layers: Modules with weights, by node name with dots written as underscores.
    """

    def __init__(self, architecture: Architecture) -> None:
        """Build all layers with PyTorch's initialisation, or the spread and start that the architecture notes.

        Raises:
            ArchitectureError: A node's settings do not make a layer.
        """
        super().__init__()
        self.architecture = architecture
        self.layers = nn.ModuleDict()
        self.module_of: dict[str, str] = {}
        # tensor -> first node that has it, and as what
        self._tied: dict[Hashable, tuple[str, str]] = {}
        self._steps: list[Step] = []
        self._lean: list[Step] = []
        self._outputs: dict[str, int] = {}
        self._order = architecture.in_order()
        nodes = {name: architecture.node(name) for name in self._order}
        self._image = next(tuple(n["shape"]) for n in nodes.values() if n["op"] == "input")
        self._sized = {
            name for name, node in nodes.items() if is_sized(node["op"], node["settings"])
        }
        self._bound = bound(architecture)
        self._build()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return every task's output for a batch `[N, C, H, W]`.

        Images may be of another size than the example; a size that a step took from an earlier value follows it.

        Raises:
            ArchitectureError: A step does not fit images of that size, or was made for the example's.
        """
        lean = may_be_lean(x, self) and (tuple(x.shape[1:]) == self._image or not self._sized)
        values, _ = self._run(x, self._lean if lean else self._steps)
        return {task: values[place] for task, place in self._outputs.items()}

    def features(self, x: Tensor, nodes: Collection[str]) -> dict[str, Tensor]:
        """Return what some nodes of the architecture give for a batch, `[N, F, ...]` each.

        Args:
            x: A batch `[N, C, H, W]`.
            nodes: Names of nodes.

        Raises:
            ArchitectureError: A step does not fit images of that size.
        """
        return self._run(x, self._steps, nodes)[1]

    def _run(
        self, x: Tensor, steps: Sequence[Step], nodes: Collection[str] = ()
    ) -> tuple[dict[int, Tensor], dict[str, Tensor]]:
        """Return the values of the outputs by place, and those of nodes by name."""
        if tuple(x.shape[1:]) == self._image:
            return self._pass(x, steps, nodes, None)
        if self._bound:
            raise unfit(self._image, x.shape[1:], self._bound)
        try:
            return self._pass(x, steps, nodes, Sizes() if self._sized else None)
        except (RuntimeError, ValueError) as err:
            raise unfit(self._image, x.shape[1:], str(err)) from err

    def _pass(
        self, x: Tensor, steps: Sequence[Step], nodes: Collection[str], sizes: Sizes | None
    ) -> tuple[dict[int, Tensor], dict[str, Tensor]]:
        values: dict[int, Tensor] = {_IMAGE: x}
        found: dict[str, Tensor] = {}
        for step in steps:
            inputs = [[values[i] for i in places] for places in step.sources]
            run = step.run if sizes is None else self._resized(step, inputs, sizes)
            value = run(inputs, self.training)
            if self.training and step.damping < 1:
                value = damped(value, torch.tensor(step.damping))
            if sizes is not None:
                value = sizes.note(self.architecture.node(step.node), value)
            values[step.target] = value
            if step.node in nodes:
                found[step.node] = value
            for place in step.free:
                del values[place]
        return values, found

    def _resized(self, step: Step, inputs: list[list[Tensor]], sizes: Sizes) -> Run:
        """Return what computes a step with sizes as they are in this pass."""
        run = step.run
        if step.node not in self._sized or not isinstance(run, Function):
            return run
        source = self.architecture.node(self._order[step.sources[0][0]])
        now = tuple(inputs[0][0].shape[1:])
        settings = sizes.settings(run.operation.name, run.settings, tuple(source["shape"]), now)
        return replace(run, settings=settings)

    def only(self, tasks: str | Iterable[str]) -> FixedNetwork:
        """Return the smaller network that computes some of the tasks, with the same weights.

        Raises:
            ArchitectureError: A task is unknown.
        """
        part = FixedNetwork(self.architecture.only(tasks))
        like = next((v for v in self.state_dict().values() if v.is_floating_point()), None)
        if like is not None:
            part.to(like)
        part.load_state_dict(
            {
                f"layers.{key}.{label}": value
                for node, key in part.module_of.items()
                for label, value in self.layers[self.module_of[node]].state_dict().items()
            }
        )
        return part.train(self.training)

    def _build(self) -> None:
        architecture = self.architecture
        order = self._order
        place = {name: i for i, name in enumerate(order)}
        sources = {name: architecture.sources(name) for name in order}
        self._outputs = {task: place[name] for task, name in architecture.outputs().items()}
        damping = _damping(architecture)
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
            steps.append(Step(name, taken, i, run, damping=damping.get(name, 1.0)))
        kept = set(self._outputs.values())
        modules = {name: self.layers[key] for name, key in self.module_of.items()}
        operations = {name: architecture.node(name)["op"] for name in order}
        self._steps = with_lifetimes(steps, kept)
        self._lean = lean_steps(steps, modules, operations, kept)

    def _runner(self, name: str, node: Node) -> Run:
        """Return what computes a node from its operands."""
        operation = node["op"]
        if operation in ("input", "output"):
            return first
        module = self._module(name, node)
        if module is None or isinstance(module, Values):
            if module is not None:
                module = self._kept(name, frozen(module, node))
            return self._functional(node, module)
        module = self._kept(name, started(frozen(module, node), node))
        if isinstance(module, ReadNorm):
            return Layer(module, operand=1, axis=module.axis)
        joined = -1 if operation == "linear" else 1
        if isinstance(module, Select):
            joined = module.axis
        return Layer(module, operand=0, axis=joined)

    def _kept(self, name: str, module: nn.Module) -> nn.Module:
        """Keep the layer of a node and return it, or the one there is if a module of the user's is called once more.

        A weight that only some of the calls have in common is one parameter of several layers.
        """
        architecture = self.architecture
        node = architecture.node(name)
        ties = {label: tied(architecture, name, label) for label in node["params"]}
        first = next((self._tied[tie][0] for tie in ties.values() if tie in self._tied), None)
        if first is not None and self._is_called_again(name, first, ties):
            self.module_of[name] = self.module_of[first]
            return self.layers[self.module_of[name]]
        self.layers[self._key(name)] = module
        for label, tie in ties.items():
            holder, called = self._tied.setdefault(tie, (name, label))
            value = getattr(module, label, None)
            if holder != name and isinstance(value, nn.Parameter):
                setattr(module, label, getattr(self.layers[self.module_of[holder]], called))
        return module

    def _is_called_again(self, name: str, first: str, ties: Mapping[str, Hashable]) -> bool:
        """Return whether a node is a further call of the layer of another."""
        one, other = self.architecture.node(first), self.architecture.node(name)
        return (
            all(self._tied.get(tie) == (first, label) for label, tie in ties.items())
            and ties.keys() == one["params"].keys()
            and all(one[part] == other[part] for part in ("op", "settings", "repeats"))
            and (one["op"] != "constant" or one["shape"] == other["shape"])
            and self._read(first) == self._read(name)
        )

    def _read(self, name: str) -> list[list[list[int]]]:
        """Return the channels of everything a node reads."""
        sources = self.architecture.sources(name)
        return [[self.architecture.node(s)["channels"] for s in operand] for operand in sources]

    def _functional(self, node: Node, module: nn.Module | None) -> Run:
        return Function(
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
        if kind in BANKS:
            return with_constants(make_bank(node, vocabulary()[operation]), node)
        if kind is Kind.CHANNEL_NORM:
            return make_channel_norm(node)
        if kind is Kind.MIXING_NORM and "over" in node["settings"]:
            read = [
                c
                for s in self.architecture.sources(name)[1]
                for c in self.architecture.node(s)["channels"]
            ]
            return ReadNorm(node, node["channels"], read)
        return Values(node) if node["params"] else None

    def _key(self, name: str) -> str:
        """Return a module name for a node that is unique and holds no dots."""
        self.module_of[name] = free_key(name.replace("@", "__"), self.layers)
        return self.module_of[name]


def _damping(architecture: Architecture) -> dict[str, float]:
    """Return nodes that the image does not reach and a norm takes, with what their gradients are multiplied with."""
    reached: set[str] = set()
    found: dict[str, float] = {}
    for name in architecture.in_order():
        node = architecture.node(name)
        sources = {s for operand in architecture.sources(name) for s in operand}
        if node["op"] == "input" or sources & reached:
            reached.add(name)
        elif (known := vocabulary().get(node["op"])) is not None and known.kind in NORMS:
            factor = damping_of(node["op"], node["settings"])
            found.update((s, min(factor, found.get(s, 1.0))) for s in sources)
    return found


def _joined_positions(value: object) -> list[int]:
    assert isinstance(value, list)
    return [int(v) for v in value]


def _plain(value: object) -> Setting:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    assert value is None or isinstance(value, bool | int | float | str)
    return value
