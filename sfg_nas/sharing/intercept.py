"""Change single operations inside a user's module while it runs.

Masks on weights do nearly everything. What they cannot do (norms that mix channels, and weights
that are themselves computed, as in weight standardisation) is done by intercepting the
operation where the module calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

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
class _Inside:
    """How many parts of an intercepted module are running: what they call is theirs."""

    depth: int = 0


@dataclass
class _Step:
    """A hook that notes that a part of an intercepted module begins (1) or ends (-1)."""

    inside: _Inside
    by: int

    def __call__(self, *_: object) -> None:
        self.inside.depth += self.by


class _Interception(Calls):
    """Hands the n-th own call of a family of functions to the n-th replacement."""

    def __init__(
        self,
        replacements: Mapping[str, Sequence[Replacement | None]],
        done: dict[str, int],
        inside: _Inside,
    ) -> None:
        super().__init__()
        self.replacements, self.done, self.inside = replacements, done, inside

    def _next(self, family: str) -> Replacement | None:
        place = self.done.get(family, 0)
        self.done[family] = place + 1
        items = self.replacements[family]
        return items[place] if place < len(items) else None

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


@dataclass
class _Intercepted:
    """A module's forward with replacements; an object, so that a deep copy runs the copy's own parts.

    A module that is called several times in one pass of the network goes on in its replacements where
    its last call stopped. One that is run again in the backward pass (checkpointing) starts anew.
    """

    forward: Callable[..., object]
    replacements: Mapping[str, Sequence[Replacement | None]]
    clock: Passes
    inside: _Inside
    at: int = -1
    done: dict[str, int] = field(default_factory=dict)

    def __call__(self, *args: object, **kwargs: object) -> object:
        left = any(self.done.get(f, 0) < len(items) for f, items in self.replacements.items())
        if self.at != self.clock.passes or (in_backward() and not left):
            self.at = self.clock.passes
            self.done.clear()
        outside, self.inside.depth = self.inside.depth, 0
        try:
            with _Interception(self.replacements, self.done, self.inside):
                return self.forward(*args, **kwargs)
        finally:
            self.inside.depth = outside


def in_backward() -> bool:
    """Return whether autograd is at work, so that a forward pass is one that is run again."""
    return bool(torch._C._current_graph_task_id() != -1)


def intercept(
    module: nn.Module, replacements: Mapping[str, Sequence[Replacement | None]], clock: Passes
) -> Mapping[str, int]:
    """Let a module's own calls of some functions be answered by replacements.

    Calls that its parts make are not its own.

    Args:
        module: The module whose `forward` makes the calls; it is changed.
        replacements: Family (`norm` or `conv`) to one entry per call in one pass of the whole network, in execution
            order: a callable object `(original, *args, **kwargs)` that can be deeply copied, or None to let that
            call through.
        clock: Tells one pass of the network from the next.

    Returns:
        Calls of each family seen so far in the pass under way, which grow as the module runs.
    """
    inside = _Inside()
    intercepted = _Intercepted(module.forward, replacements, clock, inside)
    for part in module.modules():
        if part is not module:
            part.register_forward_pre_hook(_Step(inside, 1), prepend=True)
            part.register_forward_hook(_Step(inside, -1), always_call=True)
    module.forward = intercepted
    return intercepted.done
