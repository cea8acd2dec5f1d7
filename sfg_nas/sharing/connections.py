"""The connection form: weights masked by A = m_k^T R m_j, everything else the user's own."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from sfg_nas.sharing.guard import mark
from sfg_nas.sharing.wiring import ReadingLayer


class TableSource(Protocol):
    """Gives the masks of the forward pass that is under way, and what each row may read: two of `[V + E, E]`."""

    careful: bool
    """Whether masked values may be anything but finite (see `guard`)."""

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Return both."""
        ...


class TableRows(nn.Module):
    """Rows of the assignment table, taken in the cheapest way.

    Most layers take a run of consecutive rows (a view), a head one row many times; only tied layers
    need a gather, whose backward pass scatters.
    """

    def __init__(self, rows: Tensor) -> None:
        """Hold the rows `[N]`."""
        super().__init__()
        self.register_buffer("rows", rows, persistent=False)
        self.rows: Tensor
        steps = set((rows[1:] - rows[:-1]).tolist())
        self.first, self.count = int(rows[0]), len(rows)
        self.run, self.same = steps <= {1}, steps <= {0}

    def forward(self, table: Tensor) -> Tensor:
        """Return `table[rows]`, `[N, E]`."""
        if self.run:
            return table.narrow(0, self.first, self.count)
        if self.same:
            return table.narrow(0, self.first, 1).expand(self.count, -1)
        return table[self.rows]


class ConnectionMask(nn.Module):
    """Multiplies a filter bank by what its filters may read.

    A[k, j] = m_k^T R m_j, with R[g, h] = 1 if h contains g (design of the connection form; the
    hard case equals the streams of Bragman et al. 2019, figure 2). Registered as a parametrization
    of the user's weight.
    """

    def __init__(self, layer: ReadingLayer, table: TableSource) -> None:
        """Prepare the mask of one layer.

        Args:
            layer: The filter bank.
            table: Returns the current masks `[V + E, E]`, and the same times the reading rule.
        """
        super().__init__()
        self.filters = TableRows(layer.filters)
        self.channels = TableRows(layer.channels)
        self.transposed = layer.transposed
        self.repeat = layer.repeat
        self.table = table

    def connections(self) -> Tensor:
        """Return A, `[F, C]` (`[C, F]` for a transposed convolution)."""
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
        else:
            result = masked(weight, allowed)
        if self.table.careful:
            mark(result, allowed.T if self.transposed else allowed, self.repeat)
        return result

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the weight to store when a new one is assigned: itself."""
        return weight


class _Masked(torch.autograd.Function):
    """W * A for A `[F, C]`, W `[F, C, ...]`, with a backward that makes no large temporary."""

    @staticmethod
    def forward(ctx: FunctionCtx, weight: Tensor, allowed: Tensor) -> Tensor:
        ctx.save_for_backward(weight, allowed)
        return weight * allowed.view(*allowed.shape, *[1] * (weight.dim() - 2))

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        weight, allowed = ctx.saved_tensors  # type: ignore[attr-defined]
        needs_weight, needs_allowed = ctx.needs_input_grad  # type: ignore[attr-defined]
        for_weight = for_allowed = None
        if needs_allowed:
            product = grad * weight
            for_allowed = product if weight.dim() == 2 else product.flatten(2).sum(2)
        if needs_weight:
            for_weight = grad * allowed.view(*allowed.shape, *[1] * (weight.dim() - 2))
        return for_weight, for_allowed


def masked(weight: Tensor, allowed: Tensor) -> Tensor:
    """Return `weight` `[F, C, ...]` times `allowed` `[F, C]`, broadcast over the kernel."""
    result: Tensor = _Masked.apply(weight, allowed)  # type: ignore[no-untyped-call]
    return result
