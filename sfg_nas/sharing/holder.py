"""The masks of the forward pass that is under way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sfg_nas.groups import Groups
from sfg_nas.sharing.assignments import Assignments
from sfg_nas.sharing.intercept import in_backward
from sfg_nas.sharing.rows import AllConnections


class TableHolder:
    """The masks of the forward pass that is under way, shared by all layers of one supernet.

    Attributes:
        careful: Whether masked values may be anything but finite (see `guard`).
        connections: What computes them.
    """

    def __init__(self, assignments: Assignments, groups: Groups) -> None:
        self.assignments = assignments
        self.reads = torch.from_numpy(groups.reads).float()
        self.tables: tuple[Tensor, Tensor] | None = None
        self._last: tuple[Tensor, Tensor] | None = None
        self.passes = 0
        self.careful = False
        self._allowed: Sequence[Tensor] = ()
        self.connections: AllConnections | None = None

    def hold(self, table: Tensor) -> None:
        """Use these masks `[V + E, E]` until `release`."""
        self.passes += 1
        self.reads = self.reads.to(table)
        self.tables = table, table @ self.reads
        if self.connections is not None:
            self._allowed = self.connections(*self.tables)

    def release(self) -> None:
        """End the pass; its masks are kept for what is run again in its backward pass."""
        self._last, self.tables = self.tables, None

    @property
    def allowed(self) -> Sequence[Tensor]:
        """The connections of every mask of the network, in order; empty outside of a pass."""
        again = self._last is not None and in_backward()  # checkpointing
        return self._allowed if self.tables is not None or again else ()

    def __getstate__(self) -> dict[str, object]:
        """Return what a copy takes over: no masks of a pass."""
        return {**self.__dict__, "tables": None, "_last": None, "_allowed": ()}

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Return the masks in use and the same times the reading rule, `[V + E, E]` each."""
        if self.tables is not None:
            return self.tables
        if self._last is not None and in_backward():  # checkpointing
            return self._last
        table = self.assignments.current(sample=False)
        return table, table @ self.reads.to(table)


def gate_of(task: int, rows: Tensor, groups: Groups) -> Tensor:
    """Return how much a task's head may read of each channel `[C]` with masks `[C, E]`."""
    reads = torch.from_numpy(groups.reads[groups.owner_of_head(task)])
    return rows @ reads.to(rows)
