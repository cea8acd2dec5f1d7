"""Functions whose gradient is not that of what they compute: a reversed one, one of a rounding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from unittest.mock import patch

import torch
from torch import Tensor
from torch.autograd import Function

Forward = Callable[..., object]

_TOLERANCE = 1e-3
"""Relative to the largest entry; images may be of half precision."""


class _Context:
    """What the `forward` of a function may tell of itself; nobody asks for it again."""

    def __init__(self, needed: Sequence[bool]) -> None:
        """Keep which arguments need a gradient."""
        self.needs_input_grad = tuple(needed)

    def save_for_backward(self, *tensors: object) -> None:
        """Take tensors."""

    save_for_forward = mark_dirty = mark_non_differentiable = save_for_backward

    def set_materialize_grads(self, value: bool) -> None:
        """Take a choice."""


@contextmanager
def around_forward(wrap: Callable[[type[Function], Forward], Forward]) -> Iterator[None]:
    """Run the `forward` of every function that is defined as something else.

    Their `apply` may have been taken out of them before, so that it is not what is replaced.

    Args:
        wrap: Gives what runs in place of a `forward`, from the function and its own.
    """
    with ExitStack() as stack:
        for kind in _below(Function):
            if "forward" in vars(kind):
                wrapped = staticmethod(wraps(kind.forward)(wrap(kind, kind.forward)))
                stack.enter_context(patch.object(kind, "forward", wrapped))
        yield


def _below(kind: type[Function]) -> Iterator[type[Function]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


@contextmanager
def hearing_functions(calls: dict[type[Function], Sequence[object]]) -> Iterator[None]:
    """Note which functions are applied, each with what its `forward` got in the first call.

    Those of PyTorch are left out (a checkpoint, say): their gradient is right.

    Args:
        calls: Takes the arguments of each, without a context.
    """

    def noting(kind: type[Function], forward: Forward) -> Forward:
        def noted(*args: object) -> object:
            calls.setdefault(kind, args[1:] if _has_context(kind) else args)
            return forward(*args)

        return forward if kind.__module__.partition(".")[0] == "torch" else noted

    with around_forward(noting):
        yield


def own_gradients(calls: Mapping[type[Function], Sequence[object]]) -> tuple[str, ...]:
    """Return the names of functions that give another gradient than autograd would find for their `forward`.

    Args:
        calls: Functions with arguments on which they are tried; tensors of real numbers are replaced by random ones.
    """
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        return tuple(kind.__name__ for kind, args in calls.items() if _differs(kind, args))


def _differs(kind: type[Function], args: Sequence[object]) -> bool:
    """Return whether a function's gradient is another; so it is, too, if its `forward` has none that can be found."""
    given = _gradients(kind.apply, args)
    if given is None:
        return False  # nothing is trained through it
    forward: Forward = kind.forward
    if _has_context(kind):
        context = _Context([isinstance(arg, Tensor) and arg.is_floating_point() for arg in args])
        forward = partial(forward, context)
    found = _gradients(forward, args) or [torch.zeros_like(gradient) for gradient in given]
    return any(map(_are_apart, given, found))


def _has_context(kind: type[Function]) -> bool:
    """Return whether its `forward` is given a context; the newer way to write functions has a method for that."""
    return kind.setup_context is Function.setup_context


def _are_apart(first: Tensor, second: Tensor) -> bool:
    largest = max(float(first.abs().max()), float(second.abs().max())) if first.numel() else 0.0
    return largest > 0 and float((first - second).abs().max()) > _TOLERANCE * largest


def _gradients(call: Forward, args: Sequence[object]) -> list[Tensor] | None:
    """Return the gradient of a weighted sum of all results for each argument of real numbers, None if there is none."""
    torch.manual_seed(0)  # what is drawn is the same both times
    leaves = [
        torch.randn_like(arg).requires_grad_()
        if isinstance(arg, Tensor) and arg.is_floating_point()
        else None
        for arg in args
    ]
    own = [arg if leaf is None else leaf.clone() for arg, leaf in zip(args, leaves, strict=True)]
    wanted = [leaf for leaf in leaves if leaf is not None]
    try:
        results = call(*own)
        results = results if isinstance(results, tuple) else (results,)
        results = [r for r in results if isinstance(r, Tensor) and r.requires_grad]
        if not wanted or not results:
            return None
        total = sum(((r * torch.rand_like(r)).sum() for r in results), torch.zeros(()))
        found = torch.autograd.grad(total, wanted, allow_unused=True)
    except (RuntimeError, TypeError, AttributeError, ValueError, NotImplementedError):
        return None
    return [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]
