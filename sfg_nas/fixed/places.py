"""Where a tree of tasks may part: partitions of the tasks, and the layers that must part together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import networkx as nx
import numpy as np

from sfg_nas.fixed.budget import Connections, Index
from sfg_nas.groups import Groups

Partition = tuple[int, ...]
"""Indices of groups that hold every task once."""


def partitions(groups: Groups) -> list[Partition]:
    """Return the ways to part all tasks among the groups there are, the coarsest first."""
    found: list[Partition] = []

    def extend(chosen: Partition, left: frozenset[int]) -> None:
        if not left:
            found.append(tuple(sorted(chosen)))
            return
        for index, group in enumerate(groups.sets):
            if min(left) in group and group <= left:
                extend((*chosen, index), left - group)

    extend((), frozenset(range(len(groups.tasks))))
    return sorted(found, key=lambda partition: (len(partition), partition))


def refines(groups: Groups, fine: Partition, coarse: Partition) -> bool:
    """Return whether every branch of one partition lies in a branch of the other."""
    sets = groups.sets
    return all(any(sets[g] <= sets[h] for h in coarse) for g in fine)


@dataclass(frozen=True)
class Places:
    """What takes one partition each: the layers that must part together, in the order of the network.

    Attributes:
        variables: The variables of each place.
        layers: For each place the variables of each of its layers, as positions among its own.
        edges: Pairs of places `(reader, source)`.
    """

    variables: tuple[Index, ...]
    layers: tuple[tuple[Index, ...], ...]
    edges: tuple[tuple[int, int], ...]

    @classmethod
    def of(
        cls,
        connections: Connections,
        layers: Mapping[str, Sequence[int]],
        blocks: Mapping[str, object] | None = None,
    ) -> Places:
        """Return the places of a network.

        Layers that share variables (a residual addition ties them), or that read each other through
        such a tie, part together: no tree could part one of them alone.

        Args:
            connections: Who reads whom.
            layers: The variables of each layer.
            blocks: What each layer belongs to, such as its resolution; consecutive places of the
                same block become one. None to keep every layer.
        """
        reads = _reads(connections)
        reads.add_nodes_from(range(connections.variables))
        for rows in layers.values():
            nx.add_cycle(reads, list(dict.fromkeys(rows)))
        whole = nx.condensation(reads)
        first = {place: min(data["members"]) for place, data in whole.nodes(data=True)}
        order = list(nx.lexicographical_topological_sort(whole, key=lambda place: first[place]))
        members = [sorted(whole.nodes[place]["members"]) for place in order]
        if blocks is not None:
            members = _merged(members, layers, blocks)
        of = np.zeros(connections.variables, dtype=np.int64)
        for place, own in enumerate(members):
            of[own] = place
        edges = {(int(of[r]), int(of[s])) for s, r in reads.edges if of[r] != of[s]}
        inside: list[list[Index]] = [[] for _ in members]
        for rows in layers.values():
            place = int(of[rows[0]])
            inside[place].append(np.searchsorted(members[place], np.unique(rows)))
        return cls(
            tuple(np.array(own) for own in members),
            tuple(tuple(rows) for rows in inside),
            tuple(sorted(edges)),
        )

    @cached_property
    def frontier(self) -> tuple[tuple[int, int], ...]:
        """The pairs that imply all others, since a refinement of a refinement is one."""
        graph: nx.DiGraph[int] = nx.DiGraph(list(self.edges))
        return tuple(sorted(nx.transitive_reduction(graph).edges))


def _reads(connections: Connections) -> nx.DiGraph[int]:
    """Return a graph with an edge from each variable to one variable of each kind that reads it.

    Rows that filter and read in the same layers are alike, so one edge stands for all of them: the
    strongly connected parts of whole layers do not change.
    """
    graph: nx.DiGraph[int] = nx.DiGraph()
    count = connections.variables
    for filters, channels in zip(connections.filters, connections.channels, strict=True):
        readers, sources = np.flatnonzero(filters[:count]), np.flatnonzero(channels[:count])
        if len(readers) and len(sources):
            graph.add_edges_from((int(s), int(readers[0])) for s in sources)
            graph.add_edges_from((int(sources[0]), int(r)) for r in readers)
    return graph


def _merged(
    members: list[list[int]], layers: Mapping[str, Sequence[int]], blocks: Mapping[str, object]
) -> list[list[int]]:
    """Return the places with consecutive ones of the same block as one."""
    block_of = {row: blocks[name] for name, rows in reversed([*layers.items()]) for row in rows}
    found: list[list[int]] = []
    last: object = None
    for own in members:
        block = block_of[own[0]]
        if found and block == last:
            found[-1] = sorted([*found[-1], *own])
        else:
            found.append(own)
        last = block
    return found
