"""Change single operations inside a user's module while it runs.

Masks on weights do nearly everything. What they cannot do (norms that mix channels, and weights
that are themselves computed, as in weight standardisation) is done by intercepting the
operation where the module calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, is_dataclass
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from sfg_nas.errors import ConversionError, explain

Replacement = Callable[..., torch.Tensor]

FUNCTIONS: Mapping[object, str] = {
    functional.layer_norm: "norm",
    torch.layer_norm: "norm",
    functional.group_norm: "norm",
    torch.group_norm: "norm",
    functional.rms_norm: "norm",
    torch.rms_norm: "norm",
    torch.conv1d: "conv",
    torch.conv2d: "conv",
    torch.conv3d: "conv",
    torch.conv_transpose1d: "conv",
    torch.conv_transpose2d: "conv",
    torch.conv_transpose3d: "conv",
    functional.linear: "conv",
}


class Calls(TorchFunctionMode):
    """Answers every call of torch while it is active, but for those that an answer makes in turn."""

    def answer(
        self, function: Callable[..., object], args: Sequence[object], keywords: dict[str, object]
    ) -> object:
        """Return what a call gives.

        Args:
            function: Of torch, which is called.
            args: By place.
            keywords: By name.
        """
        raise NotImplementedError

    def from_here(self) -> Calls | None:
        """Return what answers the calls that follow as this would now; None if it answers none of them."""
        return None

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Hand a call on."""
        return self.answer(func, args, dict(kwargs or {}))


class Passes(Protocol):
    """What knows which forward pass of the whole network is under way.

    Attributes:
        passes: Forward passes begun so far.
    """

    passes: int


@dataclass
class Inside:
    """How many parts of a module are running: what they call is theirs, not the module's own.

    Attributes:
        depth: That number.
    """

    depth: int = 0

    @contextmanager
    def again(self) -> Iterator[None]:
        """Begin with none inside a `with`: the module runs, maybe as a part of its parts."""
        outside, self.depth = self.depth, 0
        try:
            yield
        finally:
            self.depth = outside


@dataclass
class _Step:
    """A hook that notes that a part of a module begins (1) or ends (-1)."""

    inside: Inside
    by: int

    def __call__(self, *_: object) -> None:
        self.inside.depth += self.by


class _Interception(Calls):
    """Hands the n-th own call of a family of functions to the n-th replacement."""

    def __init__(
        self,
        replacements: Mapping[str, Sequence[Replacement | None]],
        path: str,
        done: dict[str, int],
        inside: Inside,
    ) -> None:
        super().__init__()
        self.replacements, self.path, self.done, self.inside = replacements, path, done, inside

    def _next(self, family: str) -> Replacement | None:
        place = self.done.get(family, 0)
        self.done[family] = place + 1
        items = self.replacements[family]
        if place < len(items):
            return items[place]
        if items and not _all_alike(items):
            raise other_calls(self.path, family, f"more than {len(items)}")
        return items[-1] if items else None

    def from_here(self) -> Calls | None:
        """Return what answers the calls that follow in the same way, if the module itself is running."""
        if self.inside.depth:
            return None
        return _Interception(self.replacements, self.path, dict(self.done), self.inside)

    def answer(
        self, function: Callable[..., object], args: Sequence[object], keywords: dict[str, object]
    ) -> object:
        family = FUNCTIONS.get(function)
        if family is None or family not in self.replacements or self.inside.depth:
            return function(*args, **keywords)
        replacement = self._next(family)
        if replacement is None:
            return function(*args, **keywords)
        with torch._C.DisableTorchFunction():
            return replacement(function, *args, **keywords)


def _all_alike(items: Sequence[Replacement | None]) -> bool:
    """Return whether it does not matter which of some replacements answers a call."""
    return all(_alike(items[0], item) for item in items[1:])


def _alike(one: object, other: object) -> bool:
    if one is other:
        return True
    if type(one) is not type(other) or not is_dataclass(one):
        return False
    pairs = [(value, vars(other)[name]) for name, value in vars(one).items()]
    return all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a is b or bool(a == b)
        for a, b in pairs
    )


def other_calls(path: str, family: str, found: str) -> ConversionError:
    """Return the error for a module that makes other calls than on the example, so that none can be told from another.

    Args:
        path: Of the module, in the network.
        family: Of the functions.
        found: What is wrong.
    """
    what = "norms over channels" if family == "norm" else "layers with computed weights"
    return ConversionError(
        explain(
            where=f"supernet: module `{path or 'backbone'}`",
            rule=f"in every pass its `forward` must call its {what} as it does in evaluation on the example",
            found=found,
            do="give what is called in training alone a module of its own (`nn.GroupNorm`, say), not one that is called elsewhere too",
        )
    )


@dataclass
class Intercepted:
    """A module's forward with replacements; an object, so that a deep copy runs the copy's own parts.

    A module that is called several times in one pass of the network goes on in its replacements where
    its last call stopped. One that is run again in the backward pass (checkpointing) starts anew.
    """

    forward: Callable[..., object]
    replacements: Mapping[str, Sequence[Replacement | None]]
    path: str
    clock: Passes
    inside: Inside
    at: int = -1
    done: dict[str, int] = field(default_factory=dict)

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Return what the module gives."""
        left = any(self.done.get(f, 0) < len(items) for f, items in self.replacements.items())
        if self.at != self.clock.passes or (in_backward() and not left):
            self.at = self.clock.passes
            self.done.clear()
        with (
            self.inside.again(),
            _Interception(self.replacements, self.path, self.done, self.inside),
        ):
            return self.forward(*args, **kwargs)

    def check(self) -> None:
        """Raise a ConversionError if some of the calls of the pass that ends were left out, and it matters which."""
        for family, items in self.replacements.items():
            done = self.done.get(family, 0) if self.at == self.clock.passes else 0
            if 0 < done < len(items) and not _all_alike(items):
                raise other_calls(self.path, family, f"{done} of {len(items)} calls")


def parts_of(module: nn.Module) -> Inside:
    """Return what knows, from now on, whether parts of a module are running.

    Args:
        module: All its parts get hooks.
    """
    inside = Inside()
    for part in module.modules():
        if part is not module:
            part.register_forward_pre_hook(_Step(inside, 1), prepend=True)
            part.register_forward_hook(_Step(inside, -1), always_call=True)
    return inside


def in_backward() -> bool:
    """Return whether autograd is at work, so that a forward pass is one that is run again."""
    return bool(torch._C._current_graph_task_id() != -1)


def intercept(
    module: nn.Module,
    replacements: Mapping[str, Sequence[Replacement | None]],
    clock: Passes,
    path: str = "",
) -> Intercepted:
    """Let a module's own calls of some functions be answered by replacements.

    Calls that its parts make are not its own.

    Args:
        module: The module whose `forward` makes the calls; it is changed.
        replacements: Family (`norm` or `conv`) to one entry per call in one pass of the whole network, in execution
            order: a callable object `(original, *args, **kwargs)` that can be deeply copied, or None to let that
            call through.
        clock: Tells one pass of the network from the next.
        path: Of the module in the network, for errors.

    Returns:
        What runs now; `done` has the calls of each family so far in the pass under way.
    """
    intercepted = Intercepted(module.forward, replacements, path, clock, parts_of(module))
    module.forward = intercepted
    return intercepted
