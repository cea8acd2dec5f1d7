"""Changes of an architecture that keep it sound."""

from __future__ import annotations

from collections.abc import Iterable

import networkx as nx

from sfg_nas.architecture.graph import Architecture
from sfg_nas.architecture.node import Node
from sfg_nas.errors import ArchitectureError, explain
from sfg_nas.operations import BANKS, Kind, vocabulary

_TIED = (Kind.CHANNEL_NORM, Kind.POINTWISE, Kind.WINDOW, Kind.REDUCE, Kind.ALONG, Kind.MOVEMENT)


def move_filters(
    architecture: Architecture, layer: str, filters: Iterable[int], *, to: str | Iterable[str]
) -> Architecture:
    """Return an architecture in which some filters of a layer serve fewer tasks than before.

    Everything that follows the filters moves with them: norms, activations, pooling, and the layers
    that a residual addition ties to theirs. Who may no longer read them loses that many inputs.

    Args:
        architecture: A sound architecture.
        layer: Name of the layer, the attribute `layer` of its nodes.
        filters: Original indices of filters, all of one group.
        to: The task, or tasks, that they serve afterwards; a group that has filters there already.

    Raises:
        ArchitectureError: The filters or the group do not exist, a group would be left without
            filters, or a concatenation, grouped convolution or norm over channels stands in the way.
    """
    target = sorted([to] if isinstance(to, str) else to)
    graph = architecture.graph.copy()
    by_place = {(graph.nodes[n]["layer"], tuple(sorted(graph.nodes[n]["group"]))): n for n in graph}
    asked = set(filters)
    start = [
        n
        for n in graph
        if graph.nodes[n]["layer"] == layer and asked & set(graph.nodes[n]["channels"])
    ]
    if not asked or len(start) != 1 or not asked <= set(graph.nodes[start[0]]["channels"]):
        raise _refused(layer, "the filters must be of one group of the layer", f"{sorted(asked)}")
    if not set(target) < set(graph.nodes[start[0]]["group"]):
        raise _refused(layer, "the new tasks must be some of the old ones", f"{target}")
    moved = _followers(architecture, start[0], asked)
    for name, channels in moved.items():
        other = by_place.get((graph.nodes[name]["layer"], tuple(target)))
        left = set(graph.nodes[name]["channels"]) - channels
        elsewhere = not _served(architecture, name) & set(target)  # the head of another task
        if not left or (other is None and not elsewhere):
            found = f"none for {target}" if left else "none left where they were"
            raise _refused(name, "both groups need filters in every layer that moves", found)
        _hold(graph, name, sorted(left))
        if other is not None:
            _hold(graph, other, sorted({*graph.nodes[other]["channels"], *channels}))
    _count_inputs(graph)
    return Architecture(graph).checked()


def _served(architecture: Architecture, name: str) -> set[str]:
    """Return the tasks whose output a node reaches."""
    graph = architecture.graph
    after = nx.descendants(graph, name)
    return {graph.nodes[n]["group"][0] for n in after if graph.nodes[n]["op"] == "output"}


def _followers(architecture: Architecture, start: str, channels: set[int]) -> dict[str, set[int]]:
    """Return the channels of every node that are tied to some of one node."""
    moved: dict[str, set[int]] = {start: set(channels)}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        pairs = [(name, source) for source in architecture.graph.predecessors(name)]
        pairs += [(reader, name) for reader in architecture.graph.successors(name)]
        for reader, source in pairs:
            if not _follows(architecture, reader, source):
                continue
            other = source if name == reader else reader
            tied = _across(architecture.node(name), architecture.node(other), moved[name])
            if not tied <= moved.setdefault(other, set()):
                moved[other] |= tied
                waiting.append(other)
    return moved


def _follows(architecture: Architecture, reader: str, source: str) -> bool:
    """Return whether the channels of a node are those of one that it reads."""
    node, read = architecture.node(reader), architecture.node(source)
    known = vocabulary().get(node["op"])
    kind = known.kind if known else None
    grouped = "of_groups" in node["settings"]
    if (kind in BANKS and not grouped) or node["op"] == "output":
        return False
    if kind not in _TIED or node["group"] != read["group"] or node["op"] in ("cat", "concat"):
        rule = "only norms, activations, pooling and additions may follow the filters"
        raise _refused(reader, rule, f"`{node['op']}`")
    return True


def _across(one: Node, other: Node, channels: set[int]) -> set[int]:
    """Return the channels of one node's neighbour at the places of some of its own."""
    mine, theirs = one["channels"], other["channels"]
    places = {i for i, c in enumerate(mine) if c in channels}
    if len(theirs) >= len(mine) and len(theirs) % len(mine) == 0:
        run = len(theirs) // len(mine)  # flattened: a run of features for each channel
        return {theirs[i * run + k] for i in places for k in range(run)}
    if len(mine) % len(theirs) == 0:
        return {theirs[i // (len(mine) // len(theirs))] for i in places}
    raise _refused(other["layer"], "channels must be followed one by one", "another number")


def _hold(graph: nx.DiGraph[str], name: str, channels: list[int]) -> None:
    """Give a node other channels."""
    node = graph.nodes[name]
    if node["axis"] is None or any(p["values"] is not None for p in node["params"].values()):
        raise _refused(name, "a node with channels and without constants is needed", node["op"])
    if node["op"] == "reshape" or "size" in node["settings"]:
        raise _refused(name, "sizes that are written down cannot follow", f"`{node['op']}`")
    node["channels"] = channels
    node["shape"][node["axis"] - 1] = len(channels)
    for label, parameter in node["params"].items():
        known = vocabulary().get(node["op"])
        if known is not None and known.kind in BANKS and label == "weight":
            filters = 1 if known.kind is Kind.CONV_TRANSPOSE else 0
            parameter["shape"][filters] = len(channels)
        elif parameter["axis"] is not None:
            parameter["shape"][parameter["axis"]] = len(channels)


def _count_inputs(graph: nx.DiGraph[str]) -> None:
    """Write the counts of edges, and of what filter banks read, anew."""
    for source, _, data in graph.edges(data=True):
        data["channels"] = len(graph.nodes[source]["channels"])
    for name, node in graph.nodes(data=True):
        known = vocabulary().get(node["op"])
        if known is None or known.kind not in BANKS or "of_groups" in node["settings"]:
            continue
        place = -1 if known.kind is Kind.LINEAR else 0
        count = sum(graph.nodes[source]["shape"][place] for source in graph.predecessors(name))
        axis = 0 if known.kind is Kind.CONV_TRANSPOSE else 1
        node["params"]["weight"]["shape"][axis] = count


def _refused(where: str, rule: str, found: str) -> ArchitectureError:
    place = f"move_filters: `{where}`"
    do = "move others, or change the allocation and distil it again"
    return ArchitectureError(explain(where=place, rule=rule, found=found, do=do))
