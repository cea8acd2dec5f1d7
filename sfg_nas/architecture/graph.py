"""The architecture: a directed acyclic networkx graph, one node per layer and group."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import networkx as nx

from sfg_nas.architecture.files import from_graphml, graph_to_json, read_graph, to_graphml
from sfg_nas.architecture.form import ONE_SIZE, PlainGraph, check_form, plain_copy
from sfg_nas.architecture.lint import lint_graph
from sfg_nas.architecture.node import Node
from sfg_nas.architecture.readable import annotate
from sfg_nas.architecture.structure import structure_of
from sfg_nas.architecture.text import write_text
from sfg_nas.architecture.tied import tied
from sfg_nas.errors import ArchitectureError, explain
from sfg_nas.files import parse_json, read_text
from sfg_nas.groups import Groups
from sfg_nas.operations import Kind, Setting, vocabulary

READING = ("conv", "linear")  # prefixes of operations with a filter bank


@dataclass(frozen=True, eq=False)
class Architecture:
    """A typed, unchanging face of the architecture graph.

    Every node is one operation of the user's network for the channels of one group; an edge says
    that features flow, with how many channels, and `slots` gives the places `[operand, position]`
    they take among the inputs of its end. Make a changed architecture from `graph.copy()`, which
    shares nothing with this one.

    Attributes:
        graph: The networkx graph, a frozen copy of what was given.
    """

    graph: nx.DiGraph[str]

    def __post_init__(self) -> None:
        """Take a copy of the graph and freeze it.

        Raises:
            ArchitectureError: Attributes are missing or of wrong types.
        """
        graph = plain_copy(self.graph, PlainGraph())
        do = "start from a copy of an architecture's graph, and change attributes to others like them"
        check_form(graph, where="architecture", do=do)
        annotate(graph)
        object.__setattr__(self, "graph", nx.freeze(graph))

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that have an output, in the order of the graph's `tasks`."""
        outputs = self.outputs()
        return tuple(task for task in self.graph.graph["tasks"] if task in outputs)

    @cached_property
    def groups(self) -> Groups:
        """The groups a filter could choose."""
        sets = [list(group) for group in self.graph.graph["groups"]]
        return Groups.explicit(self.graph.graph["tasks"], sets)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, `(C, H, W)`."""
        return tuple(self.graph.graph["input_shape"])

    @property
    def one_size(self) -> bool:
        """Whether it is known that the graph does not hold for images of another size than `input_shape`."""
        return bool(self.graph.graph.get(ONE_SIZE, False))

    def node(self, name: str) -> Node:
        """Return the attributes of a node."""
        return cast(Node, self.graph.nodes[name])

    def sources(self, name: str) -> list[list[str]]:
        """Return the nodes that a node reads: for each operand a list, in order."""
        slots: list[tuple[int, int, str]] = []
        for source, _, data in self.graph.in_edges(name, data=True):
            slots.extend((operand, position, source) for operand, position in data["slots"])
        found: list[list[str]] = [[] for _ in self.node(name)["operands"]]
        for operand, _, source in sorted(slots):
            found[operand].append(source)
        return found

    def in_order(self) -> list[str]:
        """Return the nodes in an order in which each comes after those it reads."""
        key = {n: (self.node(n)["order"], n) for n in self.graph}
        return list(nx.lexicographical_topological_sort(self.graph, key=lambda n: key[n]))

    def outputs(self) -> dict[str, str]:
        """Return the node that gives each task's output."""
        return {
            self.node(n)["group"][0]: n for n in self.in_order() if self.node(n)["op"] == "output"
        }

    def lint(self) -> list[str]:
        """Return everything that is wrong with the graph, an empty list if nothing is."""
        return lint_graph(self.graph)

    def checked(self, *, where: str = "architecture") -> Architecture:
        """Return this architecture if it is sound.

        Args:
            where: Name of the source, for messages.

        Raises:
            ArchitectureError: Something is wrong; names the first faults.
        """
        faults = self.lint()
        if faults:
            shown = "; ".join(faults[:3]) + (f" (and {len(faults) - 3} more)" if faults[3:] else "")
            raise ArchitectureError(
                explain(
                    where=where,
                    rule="the graph must pass `lint()`",
                    found=shown,
                    do="correct the graph (docs/architecture.md says what belongs together)",
                )
            )
        return self

    def node_macs(self, name: str) -> int:
        """Return the multiply-accumulates of one node per example."""
        node = self.node(name)
        if not node["op"].startswith(READING):
            return _mix_macs(self, name)
        weight = node["params"]["weight"]["shape"]
        if node["op"] == "linear":
            return math.prod(weight) * math.prod(node["shape"][:-1]) * node["repeats"]
        places = node["shape"][1:]
        if node["op"].startswith("conv_transpose"):
            places = self.node(self.sources(name)[0][0])["shape"][1:]
        return math.prod(weight) * math.prod(places) * node["repeats"]

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one example through all tasks (convolutions, matrix products)."""
        return sum(self.node_macs(name) for name in self.graph)

    @cached_property
    def params(self) -> int:
        """Number of trained parameters, without frozen ones; those that a module has for several calls count once."""
        sizes = {
            tied(self, name, label): math.prod(parameter["shape"])
            for name in self.graph
            for label, parameter in self.node(name)["params"].items()
            if parameter["trained"] and not parameter.get("frozen", False)
        }
        return sum(sizes.values())

    def only(self, tasks: str | Iterable[str]) -> Architecture:
        """Return the part that some of the tasks need.

        Args:
            tasks: One task, or several.

        Raises:
            ArchitectureError: A task is unknown, or none is named.
        """
        chosen = [tasks] if isinstance(tasks, str) else list(tasks)
        outputs = self.outputs()
        unknown = [task for task in chosen if task not in outputs]
        if unknown or not chosen:
            raise ArchitectureError(
                explain(
                    where="architecture.only",
                    rule=f"tasks are some of {list(outputs)}",
                    found=repr(unknown or chosen),
                    do="correct the names",
                )
            )
        kept: set[str] = set()
        for task in chosen:
            kept |= {outputs[task]} | nx.ancestors(self.graph, outputs[task])
        return Architecture(self.graph.subgraph(kept).copy())

    def layers(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield each layer with filters, in order, with its nodes by group name."""
        found: dict[str, dict[str, str]] = {}
        for name in self.in_order():
            node = self.node(name)
            if node["op"].startswith(READING) or node["op"] == "constant":
                found.setdefault(node["layer"], {})["+".join(node["group"])] = name
        yield from found.items()

    @cached_property
    def hash(self) -> str:
        """Hexadecimal digest of the structure: equal graphs have equal digests."""
        return hashlib.sha256(self._structure.encode()).hexdigest()[:16]

    @cached_property
    def _structure(self) -> str:
        return structure_of(self.graph)

    def __eq__(self, other: object) -> bool:
        """Return whether another architecture has the same structure."""
        return isinstance(other, Architecture) and self._structure == other._structure

    def __hash__(self) -> int:
        """Return a hash that agrees with `==`."""
        return int(self.hash, 16)

    def to_json(self, *, indent: int | None = 1) -> str:
        """Return the graph as JSON text, the same for equal graphs."""
        return graph_to_json(self.graph, indent=indent)

    @classmethod
    def from_json(cls, text: str, *, where: str = "architecture") -> Architecture:
        """Return the architecture that a JSON text describes, after `lint()`.

        Args:
            text: What `to_json` wrote.
            where: Name of the source, for messages.

        Raises:
            ArchitectureError: The text is damaged or describes something else.
        """
        content = parse_json(text, where=where, what="an architecture file")
        return cls(read_graph(content, where=where)).checked(where=where)

    def save(self, path: str | Path) -> None:
        """Write the graph to a JSON file, atomically."""
        write_text(Path(path), self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Architecture:
        """Return the architecture in a JSON or GraphML file (by its suffix).

        Raises:
            ArchitectureError: The file cannot be read or holds something else.
        """
        path = Path(path)
        text = read_text(path)
        if path.suffix == ".graphml":
            return cls(from_graphml(text, where=str(path))).checked(where=str(path))
        return cls.from_json(text, where=str(path))

    def to_graphml(self, path: str | Path) -> None:
        """Write the graph to a GraphML file; nested attributes become JSON text."""
        write_text(Path(path), to_graphml(self.graph))

    def __repr__(self) -> str:
        """Return tasks, size and digest."""
        size = f"{self.graph.number_of_nodes()} nodes, {self.macs} MACs, {self.params} parameters"
        return f"Architecture(tasks={list(self.tasks)}, {size}, hash={self.hash})"


def _mix_macs(architecture: Architecture, name: str) -> int:
    """Return the MACs of a matrix product between activations."""
    node = architecture.node(name)
    known = vocabulary().get(node["op"])
    if known is None or known.kind is not Kind.MIX:
        return 0
    from sfg_nas.operations_shapes import product_macs

    nodes = [[architecture.node(s) for s in found] for found in architecture.sources(name)]
    operands: dict[str, list[list[int]]] = {
        label: [[source["repeats"], *source["shape"]] for source in found]
        for label, found in zip(node["operands"], nodes, strict=True)
    }
    operands |= {label: [record["shape"]] for label, record in node["params"].items()}
    return product_macs(node["op"], operands, cast("dict[str, Setting]", node["settings"]))
