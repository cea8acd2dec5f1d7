"""Hears the calls of torch that a network makes, with the module that makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import nn

from sfg_nas.sharing.intercept import FUNCTIONS, Calls


class Listening(Calls):
    """Hears all calls of torch, and knows which module of a network makes them.

    Attributes:
        inside: Paths of the modules that are running, the innermost last.
    """

    def __init__(self, network: nn.Module) -> None:
        """Begin to follow which modules run.

        Args:
            network: All its modules get hooks.
        """
        super().__init__()
        self.inside: list[str] = []
        for path, module in network.named_modules():
            module.register_forward_pre_hook(self._entering(path), prepend=True)
            module.register_forward_hook(self._leaving, always_call=True)

    def _entering(self, path: str) -> Callable[..., None]:
        return lambda *_: self.inside.append(path)

    def _leaving(self, *_: object) -> None:
        self.inside.pop()


def bank_weight(
    function: Callable[..., object], args: Sequence[object], keywords: Mapping[str, object]
) -> object:
    """Return the weight that a call of a convolution or linear layer is given; None of any other call."""
    if FUNCTIONS.get(function) != "conv":
        return None
    return keywords.get("weight", args[1] if len(args) > 1 else None)
