"""The values of a trace: a network as a list of known operations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload

from sfg_nas.operations import Kind, Setting, canonical_name, vocabulary

BATCH = 2  # of the example: torch.export treats 0 and 1 as special sizes


class BackboneWithHeads(nn.Module):
    """A backbone and one head per task, as one module.

    Attributes:
        tasks: Names of the T tasks.
        backbone: Any module from `[N, C, H, W]` (or other) to whatever the heads read.
        heads: T modules on the backbone's output, in the order of `tasks`.
    """

    def __init__(self, backbone: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        """Hold the given modules (not copies of them)."""
        super().__init__()
        self.tasks = tuple(heads)
        self.backbone = backbone
        self.heads = nn.ModuleList(heads.values())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return every task's output for a batch `x`, `[N, ...]`."""
        features = self.backbone(x)
        return {task: head(features) for task, head in zip(self.tasks, self.heads, strict=True)}


@dataclass(frozen=True)
class TracedOp:
    """One operation of the traced network.

    Attributes:
        name: Unique name: the module's path, with the operation where a path is not enough.
        operation: Name in the vocabulary, or `input`, `constant`, `read`, `own`.
        path: Path of the module that runs it.
        operands: Activations it reads: argument name to names of operations (several in a list
            argument such as that of `cat`).
        statics: Argument name to the key of a parameter, buffer or value computed from them.
        settings: The other arguments.
        item: Which result of an operation with several, else None.
        shape: Output shape on the example, batch included.
        head: Index of the task whose head runs it, None in the backbone.
        free: The dimension whose size grows with the batch.
    """

    name: str
    operation: str
    path: str
    operands: Mapping[str, tuple[str, ...]]
    statics: Mapping[str, str]
    settings: Mapping[str, Setting]
    item: int | None
    shape: tuple[int, ...]
    head: int | None
    free: int = 0

    @property
    def sources(self) -> Iterator[str]:
        """Names of all operations it reads."""
        return (name for names in self.operands.values() for name in names)


@dataclass(frozen=True)
class TracedNetwork:
    """The operations of a network in execution order.

    Attributes:
        tasks: Names of the T tasks.
        ops: The operations; the first is `input`.
        features: Name of the operation behind each leaf of the backbone's output, None for a leaf
            that is no activation.
        outputs: Name of the operation that gives each task's output.
        statics: Exported graph nodes whose values come from parameters alone, by key.
        constants: Tensors that are neither parameters nor buffers of the module.
        batched: Statics that are repeated along a dimension with the batch, and how many places of it one example has, which are used.
        gates: Operations that are there once for each group, each to the one whose channels' groups these are (see `gates`).
        lasting: Whether it stays the same when parameters get other values; an index that is computed from them does not.
    """

    tasks: tuple[str, ...]
    ops: tuple[TracedOp, ...]
    features: tuple[str | None, ...]
    outputs: tuple[str, ...]
    statics: Mapping[str, fx.Node | str] = field(repr=False)
    constants: Mapping[str, Tensor] = field(repr=False)
    batched: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    gates: Mapping[str, str] = field(default_factory=dict)
    lasting: bool = True

    def __deepcopy__(self, memo: dict[int, object]) -> TracedNetwork:
        """Return itself: a trace never changes, and graph nodes do not copy."""
        return self

    def static_target(self, key: str) -> str | None:
        """Return the state-dict key behind a static value, None if it is computed."""
        source = self.statics[key]
        return source if isinstance(source, str) else None

    def moved_target(self, key: str) -> str | None:
        """Return the state-dict key of what a static value only puts in another order, None if it does more."""
        source = self.statics[key]
        count = None if isinstance(source, str) else source.meta["val"].numel()
        while not isinstance(source, str):
            known = isinstance(source.target, OpOverload)
            entry = vocabulary().get(canonical_name(source.target)) if known else None  # type: ignore[arg-type]
            inputs = [node for node in source.all_input_nodes if node.name in self.statics]
            alone = len(inputs) == 1 == len(source.all_input_nodes)
            if entry is None or entry.kind is not Kind.MOVEMENT or not alone:
                return None
            if inputs[0].meta["val"].numel() != count:
                return None
            source = self.statics[inputs[0].name]
        return source

    def static_targets(self, key: str) -> set[str]:
        """Return the state-dict keys that a static value depends on."""
        return static_targets(self.statics, key)

    def static_value(self, key: str, state: Mapping[str, Tensor]) -> Tensor:
        """Return a static value under the given parameters and buffers.

        Args:
            key: A value of `TracedOp.statics`.
            state: Tensors by state-dict key of the `BackboneWithHeads`.
        """
        value = static_value(self.statics, self.constants, key, state)
        if key not in self.batched:
            return value
        dim, count = self.batched[key]
        return value.narrow(dim, 0, count)


def static_targets(statics: Mapping[str, fx.Node | str], key: str) -> set[str]:
    """Return the state-dict keys that a static value depends on.

    Args:
        statics: Graph nodes or state-dict keys by key.
        key: The value that is asked for.
    """
    source = statics[key]
    if isinstance(source, str):
        return {source}
    found: set[str] = set()
    for node in (n for n in source.all_input_nodes if n.name in statics):
        found |= static_targets(statics, node.name)
    return found


def static_value(
    statics: Mapping[str, fx.Node | str],
    constants: Mapping[str, Tensor],
    key: str,
    state: Mapping[str, Tensor],
) -> Tensor:
    """Return what a graph node that needs no activation gives.

    Args:
        statics: Graph nodes or state-dict keys by key.
        constants: Tensors that are in no state dict.
        key: The value that is asked for.
        state: Tensors by state-dict key.
    """
    source = statics[key]
    if isinstance(source, str):
        return state[source] if source in state else constants[source]

    def value(argument: object) -> object:
        if isinstance(argument, fx.Node):
            if argument.name in statics:
                return static_value(statics, constants, argument.name, state)
            return size_of(argument.meta["val"])
        if isinstance(argument, list | tuple):
            return [value(item) for item in argument]
        return argument

    arguments = [value(argument) for argument in source.args]
    keywords = {name: value(argument) for name, argument in source.kwargs.items()}
    result: Tensor = source.target(*arguments, **keywords)  # type: ignore[operator]
    return result


def size_of(value: object) -> object:
    """Return a number, symbolic or not, as it is on the example."""
    if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
        return value.node.hint
    return value


def public_path(path: str, tasks: Sequence[str]) -> str:
    """Return a module path as the user knows it: inside the backbone, or `heads.<task>`."""
    if path == "backbone" or path.startswith("backbone."):
        return path.removeprefix("backbone").removeprefix(".")
    match = re.match(r"heads\.(\d+)(.*)", path)
    return f"heads.{tasks[int(match.group(1))]}{match.group(2)}" if match else path


def conv_groups(op: TracedOp) -> int:
    """Return into how many groups a filter bank divides its channels."""
    groups = op.settings.get("groups", 1)
    assert isinstance(groups, int)
    return groups


def is_kind(op: TracedOp, *kinds: Kind) -> bool:
    """Return whether an operation is of one of the kinds (never for `input` and `read`)."""
    known = vocabulary().get(op.operation)
    return known is not None and known.kind in kinds
