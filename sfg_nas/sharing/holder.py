"""The masks of the forward pass that is under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sfg_nas.groups import Groups
from sfg_nas.sharing.assignments import Assignments
from sfg_nas.sharing.features import leaves_of, with_leaves
from sfg_nas.sharing.guard import times
from sfg_nas.sharing.intercept import Intercepted, in_backward
from sfg_nas.sharing.rows import AllConnections
from sfg_nas.sharing.traced import BackboneWithHeads
from sfg_nas.sharing.wiring import Wiring


class TableHolder:
    """The masks of the forward pass that is under way, shared by all layers of one supernet.

    Attributes:
        careful: Whether masked values may be anything but finite (see `guard`).
        unreached: Factors of the gradients of unreached filters, `[F]` by the key of a weight (see that module).
        connections: What computes them.
        intercepted: Modules in which masks are not enough.
    """

    def __init__(self, assignments: Assignments, groups: Groups) -> None:
        self.assignments = assignments
        self.reads = torch.from_numpy(groups.reads).float()
        self.tables: tuple[Tensor, Tensor] | None = None
        self._last: tuple[Tensor, Tensor] | None = None
        self.passes = 0
        self.careful = False
        self.unreached: Mapping[str, Tensor] = {}
        self._allowed: Sequence[Tensor] = ()
        self.connections: AllConnections | None = None
        self.intercepted: Sequence[Intercepted] = ()

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

    def check_calls(self) -> None:
        """Raise a ConversionError if a module has not made the calls that are answered one by one."""
        for module in self.intercepted:
            module.check()

    @property
    def allowed(self) -> Sequence[Tensor]:
        """The connections of every mask of the network, in order; empty outside of a pass."""
        again = self._last is not None and in_backward()  # checkpointing
        return self._allowed if self.tables is not None or again else ()

    def __getstate__(self) -> dict[str, object]:
        """Return what a copy takes over: no masks of a pass."""
        passing: dict[str, object] = {
            "tables": None,
            "_last": None,
            "_allowed": (),
            "unreached": {},
        }
        return {**self.__dict__, **passing}

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Return the masks in use and the same times the reading rule, `[V + E, E]` each."""
        if self.tables is not None:
            return self.tables
        if self._last is not None and in_backward():  # checkpointing
            return self._last
        table = self.assignments.current(sample=False)
        return table, table @ self.reads.to(table)


def outputs_of(
    network: BackboneWithHeads, features: object, holder: TableHolder, table: Tensor, wiring: Wiring
) -> dict[str, Tensor]:
    """Return what the heads make of features; those that masks cannot restrict get a copy with zeros.

    Args:
        network: Backbone and heads.
        features: What the backbone returned.
        holder: Of the masks.
        table: Masks `[V + E, E]`.
        wiring: Which heads need a copy.
    """

    def seen(task: int) -> object:
        return (
            _gated(features, task, table, wiring, careful=holder.careful)
            if task in wiring.gated
            else features
        )

    heads = zip(network.tasks, network.heads, strict=True)
    return {name: head(seen(task)) for task, (name, head) in enumerate(heads)}


def _gated(features: object, task: int, table: Tensor, wiring: Wiring, *, careful: bool) -> object:
    """Return features in which the channels that a task may not read are zero.

    Args:
        features: What the backbone returned.
        task: Its index.
        table: Masks `[V + E, E]`.
        wiring: Which rows the features take.
        careful: Whether values may be anything but finite.
    """
    found: list[object] = []
    for leaf, name in zip(leaves_of(features), wiring.network.features, strict=True):
        if name is None or not isinstance(leaf, Tensor):
            found.append(leaf)
            continue
        axis, rows = wiring.rows[name]
        gate = gate_of(task, table[rows.to(table.device)], wiring.groups)
        view = [1] * leaf.dim()
        if axis is not None:
            view[axis] = len(gate)
        found.append(times(leaf, gate.to(leaf.dtype).view(view), careful=careful))
    return with_leaves(features, iter(found))


def gate_of(task: int, rows: Tensor, groups: Groups) -> Tensor:
    """Return how much a task's head may read of each channel `[C]` with masks `[C, E]`."""
    reads = torch.from_numpy(groups.reads[groups.owner_of_head(task)])
    return rows @ reads.to(rows)
