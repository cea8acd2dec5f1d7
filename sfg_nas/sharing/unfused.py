"""Ways of PyTorch around a module's own calls: taken out, so that masks and norms are seen by all that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch
from torch import nn
from torch.overrides import _get_current_function_mode_stack
from torch.utils import checkpoint

from sfg_nas.sharing.intercept import Calls, in_backward


def unfuse(network: nn.Module) -> None:
    """Let encoder layers call their parts in evaluation without gradients, too, where PyTorch has one kernel for all of them.

    Args:
        network: Is changed.
    """
    for module in network.modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            module.activation_relu_or_gelu = 0  # asked for by the kernel alone


class _InOneGraph:
    """Stands for the function that runs a checkpoint with a backward pass of its own."""

    @staticmethod
    def apply(function: Callable[..., object], preserve: bool, *args: object) -> object:
        """Return what a checkpointed function gives; it is run again within the one backward pass."""
        result: object = checkpoint.checkpoint(
            function, *args, use_reentrant=False, preserve_rng_state=preserve
        )
        return result


@contextmanager
def checkpoints_in_one_graph() -> Iterator[None]:
    """Run all checkpoints of a forward pass without reentrance, inside a `with`.

    Masks are made once for all layers; a backward pass of its own for each checkpoint would go through them several times.
    """
    if torch.compiler.is_compiling():
        yield
        return
    name = "_checkpoint_without_reentrant_generator"
    plain = getattr(checkpoint, name)

    def answered(function: Callable[..., object], *args: object, **kwargs: object) -> object:
        return plain(_answered_again(function), *args, **kwargs)

    with (
        patch.object(checkpoint, "CheckpointFunction", _InOneGraph),
        patch.object(checkpoint, name, answered),
    ):
        yield


def _answered_again(function: Callable[..., object]) -> Callable[..., object]:
    """Return a checkpointed function whose calls are answered when it is run again as they are now.

    Then the module whose `forward` it is part of does not run.
    """
    stack = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
    found = [mode.from_here() for mode in stack if isinstance(mode, Calls)]

    def run(*args: object, **kwargs: object) -> object:
        with ExitStack() as modes:
            for mode in found if in_backward() else ():
                again = None if mode is None else mode.from_here()  # it may be run more than once
                if again is not None:
                    modes.enter_context(again)
            return function(*args, **kwargs)

    return run
