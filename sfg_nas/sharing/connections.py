"""The connection form: weights masked by A = m_k^T R m_j, everything else the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from sfg_nas.sharing.guard import mark
from sfg_nas.sharing.rows import TableRows
from sfg_nas.sharing.unreached import mark_unreached
from sfg_nas.sharing.wiring import ReadingLayer


class TableSource(Protocol):
    """Gives the masks of the forward pass that is under way, and what each row may read: two of `[V + E, E]`."""

    careful: bool
    """Whether masked values may be anything but finite (see `guard`)."""
    unreached: Mapping[str, Tensor]
    """Factors of the gradients of unreached filters, `[F]` by the key of a weight (see that module)."""

    @property
    def allowed(self) -> Sequence[Tensor]:
        """The connections of every mask in the pass that is under way, by its index; empty outside of one."""
        ...

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Return both."""
        ...


class ConnectionMask(nn.Module):
    """Multiplies a filter bank by what its filters may read.

    A[k, j] = m_k^T R m_j, with R[g, h] = 1 if h contains g (design of the connection form; the
    hard case equals the streams of Bragman et al. 2019, figure 2). Registered as a parametrization
    of the user's weight.
    """

    def __init__(self, layer: ReadingLayer, table: TableSource, index: int) -> None:
        """Prepare the mask of one layer.

        Args:
            layer: The filter bank.
            table: Returns the current masks `[V + E, E]`, and the same times the reading rule.
            index: Of this mask among those of the network.
        """
        super().__init__()
        self.index, self.key = index, layer.weight
        self.filters = TableRows(layer.filters)
        self.channels = TableRows(layer.channels)
        self.transposed = layer.transposed
        self.repeat = layer.repeat
        self.table = table

    def connections(self) -> Tensor:
        """Return A, `[F, C]` (`[C, F]` for a transposed convolution)."""
        if self.table.allowed:
            found = self.table.allowed[self.index]
            return found.T if self.transposed else found
        table, reading = self.table()
        readers: Tensor = self.filters(reading)
        sources: Tensor = self.channels(table)
        return sources @ readers.T if self.transposed else readers @ sources.T

    def forward(self, weight: Tensor) -> Tensor:
        """Return the masked weight, the shape of `weight`."""
        allowed = self.connections().to(weight.dtype)
        if self.repeat > 1:
            rows = weight.reshape(*allowed.shape, self.repeat)
            result = (rows * allowed.unsqueeze(-1)).view_as(weight)
        elif weight.dim() == 2:
            result = weight * allowed
        else:
            result = masked(weight, allowed)
        if self.table.careful:
            mark(result, allowed.T if self.transposed else allowed, self.repeat)
        if self.key in self.table.unreached:
            mark_unreached(result, self.table.unreached[self.key])
        return result

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the weight to store when a new one is assigned: itself."""
        return weight


class _Masked(torch.autograd.Function):
    """W * A for A `[F, C]`, W `[F, C, k, ...]`, with a backward that makes no large temporary."""

    @staticmethod
    def forward(ctx: FunctionCtx, weight: Tensor, allowed: Tensor) -> Tensor:
        ctx.save_for_backward(weight, allowed)
        return weight * allowed.view(*allowed.shape, *[1] * (weight.dim() - 2))

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        weight, allowed = ctx.saved_tensors  # type: ignore[attr-defined]
        needs_weight, needs_allowed = ctx.needs_input_grad  # type: ignore[attr-defined]
        spread = allowed.view(*allowed.shape, *[1] * (weight.dim() - 2))
        single = weight.numel() == allowed.numel()  # of a kernel of size one nothing is summed
        once = torch.is_grad_enabled() or torch.compiler.is_compiling()  # no memory is used twice
        if single or once or not (needs_allowed and needs_weight):
            return (
                grad * spread if needs_weight else None,
                _over_kernel(grad * weight) if needs_allowed else None,
            )
        product = grad * weight
        for_allowed = _over_kernel(product)
        return torch.mul(grad, spread, out=product), for_allowed  # in the same memory


def _over_kernel(product: Tensor) -> Tensor:
    """Return the sums over the kernel `[F, C]` of `[F, C, k, ...]`."""
    size = product[0, 0].numel()
    if size == 1:
        return product.flatten(1)
    plain = product.device.type == "cpu" and product.dtype in (torch.float, torch.double)
    if not plain or not product.is_contiguous():
        return product.sum(tuple(range(2, product.dim())))
    # twice as fast as summing a few neighbours each
    return torch.mv(product.view(-1, size), product.new_ones(size)).view(product.shape[:2])


def masked(weight: Tensor, allowed: Tensor) -> Tensor:
    """Return `weight` `[F, C, k, ...]` times `allowed` `[F, C]`, broadcast over the kernel."""
    result: Tensor = _Masked.apply(weight, allowed)  # type: ignore[no-untyped-call]
    return result
