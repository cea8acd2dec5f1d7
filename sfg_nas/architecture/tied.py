"""Which nodes of an architecture have one and the same weights: those of a module that is called several times."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from sfg_nas.architecture.node import Node

_BANKS = ("conv", "linear")


class Graph(Protocol):
    """What has nodes, and knows what they read."""

    def node(self, name: str) -> Node:
        """Return the attributes of a node."""

    def sources(self, name: str) -> list[list[str]]:
        """Return the nodes that a node reads, for each operand in order."""


def tied(architecture: Graph, name: str, label: str) -> Hashable:
    """Return what nodes have in common that share a tensor: two of them have the same one if this is equal.

    They take it from the same tensor of the user's network, for the same group, for the same channels, and as a filter
    bank from the same channels.

    Args:
        architecture: The graph.
        name: Of a node.
        label: Of one of its tensors.
    """
    node = architecture.node(name)
    record = node["params"][label]
    if record["key"] is None:
        return name, label
    own = tuple(node["channels"]) if record["axis"] is not None and node["axis"] is not None else ()
    read: tuple[Hashable, ...] = ()
    if label == "weight" and node["op"].startswith(_BANKS):
        own = tuple(node["channels"])
        sources = [architecture.node(source) for source in architecture.sources(name)[0]]
        read = (node["op"], *(tuple(source["channels"]) for source in sources))
    group = tuple(sorted(node["group"]))
    return record["key"], group, own, read, tuple(record["shape"]), record["trained"]
