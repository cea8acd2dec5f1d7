"""Operations that are run where no replacement or mask can reach them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sfg_nas.errors import ConversionError, explain
from sfg_nas.operations import BANKS, Kind
from sfg_nas.sharing.copies import copied
from sfg_nas.sharing.examples import started_parameters
from sfg_nas.sharing.intercept import Intercepted, Replacement, intercept
from sfg_nas.sharing.listening import Listening, bank_weight
from sfg_nas.sharing.traced import (
    BATCH,
    BackboneWithHeads,
    TracedNetwork,
    TracedOp,
    is_kind,
    public_path,
)


@dataclass
class _OnePass:
    """A clock that stands still: the whole network is run once."""

    passes: int = 0


def hidden_operations(
    network: BackboneWithHeads, traced: TracedNetwork, example: Tensor, called: frozenset[str]
) -> frozenset[str]:
    """Return the names of operations that cannot be masked or replaced.

    A norm that mixes channels and a weight that is computed are handled where a module calls the
    function (see `intercept`). A fused kernel, or a library function that calls others, hides
    those calls. Found by running the network once and counting.

    Args:
        network: Backbone and heads; left as they are.
        traced: The operations of the network.
        example: An input `[N, ...]`.
        called: Keys of weights that are masked where they are used.
    """
    families: dict[str, dict[str, list[TracedOp]]] = {}
    needed = False
    for op in traced.ops:
        family = "norm" if is_kind(op, Kind.MIXING_NORM) else "conv" if is_kind(op, *BANKS) else ""
        if family:
            families.setdefault(op.path, {}).setdefault(family, []).append(op)
            needed = needed or family == "norm" or op.statics.get("weight") in called
    if not needed:
        return frozenset()
    twin = copied(network).eval()
    clock = _OnePass()
    seen: dict[str, Intercepted] = {}
    for path, ops in families.items():
        through: dict[str, list[Replacement | None]] = {f: [None] * len(o) for f, o in ops.items()}
        seen[path] = intercept(twin.get_submodule(path), through, clock)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        twin(example[:1].expand(BATCH, *example.shape[1:]).contiguous())
    return frozenset(
        op.name
        for path, ops in families.items()
        for family, members in ops.items()
        if seen[path].done.get(family, 0) != len(members)
        for op in members
    )


class _Banks(Listening):
    """Notes which parameters are the weights of filter banks, and which module calls these.

    Attributes:
        found: Names of parameters, each with the path and the function of one call.
    """

    def __init__(self, network: nn.Module, parameters: Mapping[int, str]) -> None:
        super().__init__(network)
        self.parameters = parameters
        self.found: dict[str, tuple[str, str]] = {}

    def answer(
        self, function: Callable[..., object], args: Sequence[object], keywords: dict[str, object]
    ) -> object:
        """Return what a call gives."""
        name = self.parameters.get(id(bank_weight(function, args, keywords)))
        if name is not None:
            called = str(getattr(function, "__name__", function))
            self.found.setdefault(name, (self.inside[-1], called))
        return function(*args, **keywords)


def check_training(network: BackboneWithHeads, traced: TracedNetwork, example: Tensor) -> None:
    """Raise a ConversionError if filters that masks do not reach make a task's output in training.

    The trace is of evaluation mode. A block that has one fused kernel there, and several convolutions in training, would be
    searched through the one and trained through the others. What is run in training beside the outputs (auxiliary
    classifiers) is none of that. Found by trying, only where a network has weights that no layer of the trace has.

    Args:
        network: Backbone and heads; left as they are.
        traced: Its operations.
        example: An input `[N, ...]`.
    """
    banks = [op for op in traced.ops if is_kind(op, *BANKS)]
    known = {traced.moved_target(op.statics["weight"]) for op in banks}
    for op in (
        op for op in traced.ops if not is_kind(op, *BANKS)
    ):  # layers on constants, such as places
        known |= {t for key in op.statics.values() for t in traced.static_targets(key)}
    others = {id(p): n for n, p in network.named_parameters() if p.dim() > 1 and n not in known}
    if not others or not example.is_floating_point():
        return
    twin = copied(network, parameters=False).train()
    started = {n: v for n, v in started_parameters(twin).items() if n not in others.values()}
    reached = {twin.get_submodule(op.path) for op in banks}  # one may have several paths
    listener = _Banks(twin, others)
    x = torch.randn(BATCH, *example.shape[1:], generator=torch.Generator().manual_seed(0)).to(
        example
    )

    def outputs(changed: Mapping[str, Tensor]) -> list[Tensor]:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            values = torch.func.functional_call(twin, {**started, **changed}, (x,)).values()
        return [value for value in values if isinstance(value, Tensor)]

    try:
        with listener:
            before = outputs({})
        unmasked = {
            n: at for n, at in listener.found.items() if twin.get_submodule(at[0]) not in reached
        }
        if not unmasked or not all(map(torch.equal, before, outputs({}))):
            return  # or it keeps a state, so that nothing is known
        values = dict(twin.named_parameters())
        for name, (path, function) in unmasked.items():
            after = outputs({name: values[name].detach() * 2 + 1})
            if not all(map(torch.equal, before, after)):
                raise _trained_otherwise(public_path(path, traced.tasks), function)
    except (RuntimeError, ValueError, TypeError, AttributeError):
        return  # it does not run on two images in training: nothing is known


def _trained_otherwise(path: str, function: str) -> ConversionError:
    return ConversionError(
        explain(
            where=f"convert: module `{path}`",
            rule="in training a network must run the filters that it runs in evaluation mode: masks are put there",
            found=f"{function} that is run in training alone",
            do="let `forward` do the same in both modes, and fuse layers after the search",
        )
    )
