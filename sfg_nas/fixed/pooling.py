"""Max-pooling by comparisons, where the library's kernel is slow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor

from sfg_nas.operations import Setting

POOLS: Mapping[str, int] = {"max_pool1d": 1, "max_pool2d": 2, "max_pool3d": 3}
_LARGEST = 3  # beyond it the comparisons cost more than they save


def compared(operation: str, x: Tensor, settings: Mapping[str, Setting]) -> Tensor | None:
    """Return a max-pooling of `x` as comparisons of its strided slices, None where it must not be.

    A fixed network pools few channels of odd number. PyTorch's kernel for channels-last tensors on a
    processor falls back to single numbers there, and finds indices that nobody asked for: at 21
    channels it took 3.6 times as long. The values are the same, bit for bit. Gradients are not where
    values tie, nor is the graph of an export, so both keep the library's.

    Args:
        operation: Name in the vocabulary.
        x: `[N, C, ...]`.
        settings: The operation's other arguments.
    """
    dims = POOLS.get(operation)
    if dims is None or x.device.type != "cpu" or torch.compiler.is_compiling():
        return None
    if type(x) is not Tensor or (x.requires_grad and torch.is_grad_enabled()):
        return None
    kernel = _sizes(settings["kernel_size"], dims)
    stride = _sizes(settings.get("stride") or settings["kernel_size"], dims)
    plain = not settings.get("ceil_mode") and set(_sizes(settings.get("dilation", 1), dims)) == {1}
    if not plain or max(kernel) > _LARGEST or x.dim() != dims + 2:
        return None
    padding = _sizes(settings.get("padding", 0), dims)
    if any(padding):
        both = [p for size in reversed(padding) for p in (size, size)]
        x = torch.constant_pad_nd(x, both, float("-inf"))
    for axis, size, step in zip(range(x.dim() - dims, x.dim()), kernel, stride, strict=True):
        count = (x.shape[axis] - size) // step + 1
        if count < 1:
            return None
        x = _largest(x, axis, size=size, step=step, count=count)
    return x


def _largest(x: Tensor, axis: int, *, size: int, step: int, count: int) -> Tensor:
    """Return the largest of each window along one axis."""
    reach = (count - 1) * step + 1
    found: Tensor | None = None
    for first in range(size):
        slices = [slice(None)] * axis + [slice(first, first + reach, step)]
        part = x[tuple(slices)]
        found = part if found is None else torch.maximum(found, part)
    assert found is not None
    return found


def _sizes(value: Setting, dims: int) -> Sequence[int]:
    """Return one number per dimension."""
    given = cast("list[int]", value) if isinstance(value, list) else [cast(int, value)]
    return given * dims if len(given) == 1 else given
