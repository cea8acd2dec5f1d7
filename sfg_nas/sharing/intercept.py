"""Change single operations inside a user's module while it runs.

Masks on weights do nearly everything. What they cannot do (norms that mix channels, and weights
that are themselves computed, as in weight standardisation) is done by intercepting the
operation where the module calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps

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


class _Interception(TorchFunctionMode):
    """Hands the n-th call of a family of functions to the n-th replacement."""

    def __init__(self, replacements: Mapping[str, Sequence[Replacement | None]]) -> None:
        super().__init__()
        self.queues = {family: iter(items) for family, items in replacements.items()}

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        family = FUNCTIONS.get(func)
        keywords = dict(kwargs or {})
        if family is None or family not in self.queues:
            return func(*args, **keywords)
        replacement = next(self.queues[family], None)
        with torch._C.DisableTorchFunction():
            if replacement is None:
                return func(*args, **keywords)
            return replacement(func, *args, **keywords)


def intercept(module: nn.Module, replacements: Mapping[str, Sequence[Replacement | None]]) -> None:
    """Let a module's own calls of some functions be answered by replacements.

    Args:
        module: The module whose `forward` makes the calls; it is changed.
        replacements: Family (`norm` or `conv`) to one entry per call in execution order: a function
            `(original, *args, **kwargs)`, or None to let that call through.
    """
    forward = module.forward

    @wraps(forward)
    def intercepted(*args: object, **kwargs: object) -> object:
        with _Interception(replacements):
            return forward(*args, **kwargs)

    module.forward = intercepted
