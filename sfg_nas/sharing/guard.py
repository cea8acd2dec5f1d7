"""Values that are not finite must not cross a mask, although 0 times infinity is no number.

A filter that overflows may serve nobody, or only other tasks. In the fixed network no other filter
reads it. A mask of zeros on weights does not do as much, so when an output is not finite the
supernet runs that pass again with care: what may not be read is left out instead of multiplied by zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from sfg_nas.sharing.intercept import FUNCTIONS, Calls

_MARK = "_sfg_nas_reach"


@dataclass(frozen=True)
class _Reach:
    """Which input channels the filters of a weight may read, `[F, C]`; each is `repeat` positions."""

    connections: Tensor
    repeat: int


def mark(weight: Tensor, connections: Tensor, repeat: int = 1) -> Tensor:
    """Return a masked weight that remembers its connections `[F, C]` for a careful pass."""
    setattr(weight, _MARK, _Reach(connections.detach() != 0, repeat))
    return weight


def read_carefully(
    function: Callable[..., Tensor], x: Tensor, weight: Tensor, *args: object, **kwargs: object
) -> Tensor:
    """Return a convolution or linear map whose forbidden channels are left out.

    A filter that may read a value that is not finite gives NaN for that example; no other does.

    Args:
        function: Of torch: `conv2d`, `linear`, ...
        x: Its input, `[N, C, ...]` (`[..., C]` for `linear`).
        weight: Its weight.
        args: What follows.
        kwargs: What follows, by name.
    """
    reach: _Reach | None = getattr(weight, _MARK, None)
    finite = x.isfinite()
    if reach is None or x.dim() < 2 or bool(finite.all()):
        return function(x, weight, *args, **kwargs)
    y = function(torch.where(finite, x, 0.0), weight, *args, **kwargs)
    bad = ~finite
    linear = function is functional.linear
    bad = bad.view(*bad.shape[:-1], -1, reach.repeat).any(-1) if linear else bad.flatten(2).any(2)
    poisoned = (bad.float() @ reach.connections.T.float()) > 0
    if not linear:
        poisoned = poisoned.view(*poisoned.shape, *[1] * (y.dim() - 2))
    return y.masked_fill(poisoned, float("nan"))


class Careful(Calls):
    """While it is active, marked weights are read carefully."""

    def answer(
        self, function: Callable[..., object], args: Sequence[object], keywords: dict[str, object]
    ) -> object:
        """Return what a call gives."""
        if FUNCTIONS.get(function) != "conv":
            return function(*args, **keywords)
        given = dict(zip(("input", "weight"), args, strict=False)) | keywords
        x, weight = given.pop("input"), given.pop("weight")
        assert isinstance(x, Tensor)
        assert isinstance(weight, Tensor)
        return read_carefully(function, x, weight, *args[2:], **given)  # type: ignore[arg-type]


def all_finite(outputs: Mapping[str, Tensor]) -> bool:
    """Return whether every output is finite, or cannot be asked because nothing is computed."""
    values = list(outputs.values())
    if torch.compiler.is_compiling() or any(v.is_meta for v in values):
        return True
    return bool(torch.stack([v.detach().isfinite().all() for v in values]).all())


def times(value: Tensor, mask: Tensor, *, careful: bool) -> Tensor:
    """Return value times mask; with care, zero where the mask is, whatever the value."""
    product = value * mask
    return torch.where(mask == 0, torch.zeros_like(product), product) if careful else product
