"""Rows of the assignment table, taken in the cheapest way, and the connections of all layers at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


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


class Segments(nn.Module):
    """Several selections of rows of one table.

    Runs that do not overlap are parts of one split, whose backward pass joins their gradients; each view
    by itself would make a gradient the size of the table.
    """

    def __init__(self, selections: Sequence[TableRows], size: int) -> None:
        """Prepare the selections from a table of `size` rows."""
        super().__init__()
        self.selections = nn.ModuleList(selections)
        runs = sorted({(s.first, s.first + s.count) for s in selections if s.run})
        self.sizes: list[int] = []
        self.part_of: dict[tuple[int, int], int] = {}
        at = 0
        for first, end in runs:
            if first < at:
                continue  # overlaps the one before: a view of its own
            if first > at:
                self.sizes.append(first - at)
            self.part_of[first, end - first] = len(self.sizes)
            self.sizes.append(end - first)
            at = end
        if at < size:
            self.sizes.append(size - at)

    def forward(self, table: Tensor) -> list[Tensor]:
        """Return the rows of each selection, `[N, E]` each."""
        parts = torch.split(table, self.sizes)
        found: list[Tensor] = []
        for selection in self.selections:
            assert isinstance(selection, TableRows)
            place = (selection.first, selection.count)
            part = self.part_of.get(place) if selection.run else None
            found.append(selection(table) if part is None else parts[part])
        return found


class AllConnections(nn.Module):
    """What the filters of every layer may read: A = m_k^T R m_j of all layers at once.

    Layers that read the same channels, such as the heads of all tasks, share one product.
    """

    def __init__(self, layers: Sequence[tuple[Tensor, Tensor]], size: int) -> None:
        """Prepare the products.

        Args:
            layers: Rows of the filters `[F]` and of the channels `[C]` of each layer.
            size: Rows of the table.
        """
        super().__init__()
        by_channels: dict[tuple[int, ...], list[int]] = {}
        for i, (_, channels) in enumerate(layers):
            by_channels.setdefault(tuple(channels.tolist()), []).append(i)
        self.together = list(by_channels.values())
        once = [_once(filters) for filters, _ in layers]
        self.counts = [len(rows) for rows in once]
        self.repeats = [
            len(filters) // count if count == 1 else 1
            for (filters, _), count in zip(layers, self.counts, strict=True)
        ]
        readers = [TableRows(torch.cat([once[i] for i in members])) for members in self.together]
        sources = [TableRows(layers[members[0]][1]) for members in self.together]
        self.readers, self.sources = Segments(readers, size), Segments(sources, size)

    def forward(self, table: Tensor, reading: Tensor) -> list[Tensor]:
        """Return A of every layer, `[F, C]`.

        Args:
            table: The masks `[V + E, E]`.
            reading: The masks times the reading rule `[V + E, E]`.
        """
        found: dict[int, Tensor] = {}
        pairs = zip(self.readers(reading), self.sources(table), strict=True)
        for members, (readers, sources) in zip(self.together, pairs, strict=True):
            product = readers @ sources.T
            parts = (
                product.split([self.counts[i] for i in members]) if len(members) > 1 else [product]
            )
            for i, part in zip(members, parts, strict=True):
                found[i] = part.expand(self.repeats[i], -1) if self.repeats[i] > 1 else part
        return [found[i] for i in range(len(found))]


def _once(rows: Tensor) -> Tensor:
    """Return one row where all are the same, else all."""
    return rows[:1] if bool((rows == rows[0]).all()) else rows
