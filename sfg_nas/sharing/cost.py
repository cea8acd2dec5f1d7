"""Expected MACs of a relaxed network, differentiable through the probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sfg_nas.sharing.wiring import ReadingLayer, Wiring


@dataclass(frozen=True)
class _Term:
    filters: Tensor  # how many filters each table row has in this layer, [V + E]
    channels: Tensor  # how many input channels, [V + E]
    both: Tensor  # product of the two, where a row reads itself (residual layers), [V + E]
    macs: int


class ExpectedCost:
    """E[MACs] when every variable is drawn independently from its probabilities.

    For filter k and channel j with different variables E[m_k^T R m_j] = p_k^T R p_j; where both are
    the same variable the connection always exists. So the expectation is exact and bilinear in the
    sums of the probabilities over a layer.

    Attributes:
        shared_macs: MACs per example when every filter belongs to all tasks.
    """

    def __init__(self, wiring: Wiring) -> None:
        """Count how often each variable reads and is read."""
        size = wiring.variables + len(wiring.groups.extended)
        self.reads = torch.from_numpy(wiring.groups.reads).float()
        self.fixed = sum(layer.fixed_macs for layer in wiring.reading)
        self.terms = [_term(layer, size) for layer in wiring.reading if not layer.grouped]
        table = torch.zeros(size, len(wiring.groups.extended))
        table[: wiring.variables, wiring.groups.owner_of_image()] = 1.0
        table[wiring.variables :] = torch.eye(len(wiring.groups.extended))
        self.shared_macs = round(float(self(table.double())))

    def __call__(self, table: Tensor) -> Tensor:
        """Return expected MACs per example, a scalar.

        Args:
            table: Probabilities of all variables and fixed owners `[V + E, E]`.
        """
        reads = self.reads.to(table)
        itself = ((table @ reads) * table).sum(1)  # p^T R p
        total = table.new_tensor(float(self.fixed))
        for term in self.terms:
            readers = term.filters.to(table) @ table
            sources = term.channels.to(table) @ table
            own = (term.both.to(table) * (1 - itself)).sum()
            total = total + term.macs * (readers @ reads @ sources + own)
        return total


def _term(layer: ReadingLayer, size: int) -> _Term:
    filters = torch.bincount(layer.filters, minlength=size)
    channels = torch.bincount(layer.channels, minlength=size)
    return _Term(filters, channels, filters * channels, layer.macs_per_connection)
