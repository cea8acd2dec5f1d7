"""Expected MACs of a relaxed network, differentiable through the probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from sfg_nas.sharing.wiring import Wiring


class ExpectedCost:
    """E[MACs] when every variable is drawn independently from its probabilities.

    For filter k and channel j with different variables E[m_k^T R m_j] = p_k^T R p_j; where both are
    the same variable the connection always exists. So the expectation is exact and bilinear in the
    sums of the probabilities over a layer.

    Attributes:
        shared_macs: MACs per example when every filter belongs to all tasks.
    """

    def __init__(self, wiring: Wiring) -> None:
        """Count how often each variable reads and is read, `[L, V + E]` over the L layers."""
        size = wiring.variables + len(wiring.groups.extended)
        dense = [layer for layer in wiring.reading if not layer.grouped]
        filters = torch.stack([torch.bincount(layer.filters, minlength=size) for layer in dense])
        channels = torch.stack([torch.bincount(layer.channels, minlength=size) for layer in dense])
        macs = torch.tensor([layer.macs_per_connection for layer in dense], dtype=torch.double)
        self.filters = filters.double() * macs.unsqueeze(1)
        self.channels = channels.double()
        self.itself = (self.filters * self.channels).sum(0)  # MACs of a variable reading itself
        self.reads = torch.from_numpy(wiring.groups.reads).double()
        self.fixed = wiring.mixing_macs + sum(layer.fixed_macs for layer in wiring.reading)
        everyone, owners = wiring.groups.owner_of_image(), torch.eye(len(wiring.groups.extended))
        table = torch.cat([owners[[everyone] * wiring.variables], owners])
        self.shared_macs = round(float(self(table.double())))

    def __call__(self, table: Tensor) -> Tensor:
        """Return expected MACs per example, a scalar.

        Args:
            table: Probabilities of all variables and fixed owners `[V + E, E]`.
        """
        if self.filters.dtype != table.dtype or self.filters.device != table.device:
            self.filters, self.channels = self.filters.to(table), self.channels.to(table)
            self.itself, self.reads = self.itself.to(table), self.reads.to(table)
        readable = self.filters @ table @ self.reads
        own = (table @ self.reads * table).sum(1)  # p^T R p
        return (readable * (self.channels @ table)).sum() + self.itself @ (1 - own) + self.fixed
