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
    torch.conv1d: "conv",
    torch.conv2d: "conv",
    torch.conv3d: "conv",
    torch.conv_transpose1d: "conv",
    torch.conv_transpose2d: "conv",
    torch.conv_transpose3d: "conv",
    functional.linear: "conv",
}


class Passes(Protocol):
    """What knows which forward pass of the whole network is under way.

    Attributes:
        passes: Forward passes begun so far.
    """

    passes: int


class _Interception(TorchFunctionMode):
    """Hands the n-th call of a family of functions to the n-th replacement."""

    def __init__(
        self,
        replacements: Mapping[str, Sequence[Replacement | None]],
        done: dict[str, int],
    ) -> None:
        super().__init__()
        self.replacements, self.done = replacements, done

    def _next(self, family: str) -> Replacement | None:
        place = self.done.get(family, 0)
        self.done[family] = place + 1
        items = self.replacements[family]
        return items[place] if place < len(items) else None

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        family = FUNCTIONS.get(func)
        keywords = dict(kwargs or {})
        if family is None or family not in self.replacements:
            return func(*args, **keywords)
        replacement = self._next(family)
        if replacement is None:
            return func(*args, **keywords)
        with torch._C.DisableTorchFunction():
            return replacement(func, *args, **keywords)


@dataclass
class _Intercepted:
    """A module's forward with replacements; an object, so that a deep copy runs the copy's own parts.

    A module that is called several times in one pass of the network goes on in its replacements where
    its last call stopped.
    """

    forward: Callable[..., object]
    replacements: Mapping[str, Sequence[Replacement | None]]
    clock: Passes
    at: int = -1
    done: dict[str, int] = field(default_factory=dict)

    def __call__(self, *args: object, **kwargs: object) -> object:
        if self.at != self.clock.passes:
            self.at = self.clock.passes
            self.done.clear()
        with _Interception(self.replacements, self.done):
            return self.forward(*args, **kwargs)


def intercept(
    module: nn.Module, replacements: Mapping[str, Sequence[Replacement | None]], clock: Passes
) -> Mapping[str, int]:
    """Let a module's own calls of some functions be answered by replacements.

    Args:
        module: The module whose `forward` makes the calls; it is changed.
        replacements: Family (`norm` or `conv`) to one entry per call in one pass of the whole network, in execution
            order: a callable object `(original, *args, **kwargs)` that can be deeply copied, or None to let that
            call through.
        clock: Tells one pass of the network from the next.

    Returns:
        Calls of each family seen so far in the pass under way, which grow as the module runs.
    """
    intercepted = _Intercepted(module.forward, replacements, clock)
    module.forward = intercepted
    return intercepted.done
