"""The most probable tree: each layer, or block of layers, parts the tasks once, ever finer with depth.

A branched network is a tree whose every branch serves some tasks (Lu et al. 2017, "Fully-adaptive
feature sharing in multi-task networks"; Vandenhende et al. 2019, "Branched multi-task networks").
Here the branches of a layer divide its filters, so the width stays that of the backbone. Which tree
is the most probable is an integer program with one choice of a partition for each place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sfg_nas.fixed.budget import Array, Connections, Index
from sfg_nas.fixed.places import Partition, Places, partitions, refines
from sfg_nas.fixed.program import Program, filled
from sfg_nas.groups import Groups

_SLACK = 2e-6  # what the solver takes for equal, as a share of the cost with everything shared
UNDECIDED = -1e-3
"""Score in nats, for each branch after the first, of a place whose probabilities are not trusted."""


@dataclass(frozen=True)
class Option:
    """A place under one partition.

    Attributes:
        partition: The groups that share its filters.
        chosen: A group for each of its variables.
        score: Log-probability of these, in nats.
    """

    partition: Partition
    chosen: Index
    score: float


@dataclass(frozen=True)
class Tree:
    """The choice of a partition for each place.

    Attributes:
        connections: What allocations cost.
        places: What takes one partition each.
        groups: The groups.
        scores: Log-probability of each group for each variable `[V, G]`.
        threshold: A place whose best partition holds a smaller share of the probability follows its
            neighbours, and is shared where they leave it free.
    """

    connections: Connections
    places: Places
    groups: Groups
    scores: Array
    threshold: float = 0.0

    @cached_property
    def options(self) -> list[list[Option]]:
        """For each place the partitions it can take."""
        found: list[list[Option]] = []
        known = partitions(self.groups)
        for rows, layers in zip(self.places.variables, self.places.layers, strict=True):
            each = (_option(self.scores[rows], layers, partition) for partition in known)
            found.append([option for option in each if option is not None])
        return found

    def _values(self, place: int) -> list[float]:
        """Return what each option of a place counts."""
        options = self.options[place]
        if not options or self.threshold <= 0:
            return [option.score for option in options]
        best = max(options, key=lambda option: option.score)
        p = np.exp(self.scores[self.places.variables[place]])
        if p[:, list(best.partition)].sum(1).mean() >= self.threshold:
            return [option.score for option in options]
        return [UNDECIDED * (len(option.partition) - 1) for option in options]

    def solve(
        self, limit: float = np.inf, *, branches: float = np.inf
    ) -> tuple[Index, float] | None:
        """Return the best tree and an upper bound of the score of every other.

        The bound is the score itself unless branch and bound met its limit.

        Args:
            limit: Greatest cost.
            branches: Greatest number of branches of all places together.

        Returns:
            A group for each variable `[V]`, and the bound; None if no tree fits.
        """
        everything, bound = self.connections.everything, -np.inf
        for slack in (0.0, _SLACK * everything, _SLACK * everything + self.connections.between):
            program = self._program(limit - slack)
            if np.isfinite(branches):
                program.below([len(o.partition) for each in self.options for o in each], branches)
            found = program.solve(self._all_values)
            if found is None:
                return None
            chosen = self._chosen(found[0])
            bound = max(bound, self.score(chosen) + found[1])
            if self.connections.cost(chosen) <= limit * (1 + 1e-12):
                return chosen, bound
        return None

    def ranked(self) -> Iterator[tuple[Index, float]]:
        """Yield all trees, the most probable first, as groups `[V]` and their score."""
        program = self._program(np.inf)
        while True:
            found = program.solve(self._all_values)
            if found is None:
                return
            chosen = self._chosen(found[0])
            yield chosen, self.score(chosen)
            program.without(found[0])

    def branches(self, chosen: Index) -> int:
        """Return the number of branches of all places together."""
        return sum(len(np.unique(chosen[rows])) for rows in self.places.variables)

    @cached_property
    def _all_values(self) -> Array:
        places = range(len(self.options))
        return np.array([value for place in places for value in self._values(place)])

    def score(self, chosen: Index) -> float:
        """Return the log-probability of groups `[V]`, in nats."""
        return float(self.scores[np.arange(len(chosen)), chosen].sum())

    def _chosen(self, picks: Sequence[int]) -> Index:
        """Return the groups `[V]` of an option for each place."""
        chosen = np.zeros(self.connections.variables, dtype=np.int64)
        for place, pick in enumerate(picks):
            chosen[self.places.variables[place]] = self.options[place][pick].chosen
        return chosen

    def _program(self, limit: float) -> Program:
        program = Program([len(options) for options in self.options])
        edges = self.places.edges if np.isfinite(limit) else self.places.frontier
        for reader, source in edges:
            program.couple(reader, source, self._allowed(reader, source))
        if np.isfinite(limit):
            scale = max(self.connections.everything, 1.0)
            program.below(self._costs(edges) / scale, (limit - self._fixed()) / scale)
        return program

    def _allowed(self, reader: int, source: int) -> list[tuple[int, int]]:
        return [
            (i, j)
            for i, fine in enumerate(self.options[reader])
            for j, coarse in enumerate(self.options[source])
            if refines(self.groups, fine.partition, coarse.partition)
        ]

    def _sums(self, place: int, option: Option) -> tuple[Array, Array]:
        """Return the filters and the channels of each owner in each layer, `[L, E]`."""
        owners = np.eye(len(self.connections.reads))[option.chosen]
        rows = self.places.variables[place]
        return self.connections.filters[:, rows] @ owners, self.connections.channels[
            :, rows
        ] @ owners

    def _costs(self, edges: Sequence[tuple[int, int]]) -> Array:
        """Return what each option costs by itself, then each allowed pair of options."""
        connections, count = self.connections, self.connections.variables
        heads, image = connections.filters[:, count:], connections.channels[:, count:]
        sums = [
            [self._sums(place, option) for option in options]
            for place, options in enumerate(self.options)
        ]

        def pair(filters: Array, channels: Array) -> float:
            return float((filters * (channels @ connections.reads.T)).sum())

        found = [
            pair(a, b) + pair(a, image) + pair(heads, b) for options in sums for a, b in options
        ]
        for reader, source in edges:
            pairs = self._allowed(reader, source)
            found += [pair(sums[reader][i][0], sums[source][j][1]) for i, j in pairs]
        return np.array(found)

    def _fixed(self) -> float:
        connections, count = self.connections, self.connections.variables
        heads, image = connections.filters[:, count:], connections.channels[:, count:]
        return connections.least + float((heads * (image @ connections.reads.T)).sum())


def _option(scores: Array, layers: Sequence[Index], partition: Partition) -> Option | None:
    """Return the most probable division of a place in which each branch has filters in each layer."""
    groups = np.array(partition)
    own = scores[:, groups]
    picks = own.argmax(1)
    if any(len(np.unique(picks[rows])) < len(groups) for rows in layers):
        found = filled(own, layers)
        if found is None:
            return None
        picks = found
    chosen: Index = groups[picks]
    return Option(partition, chosen, float(own[np.arange(len(own)), picks].sum()))
