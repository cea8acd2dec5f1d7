"""Proof that an architecture graph keeps its rules, from the graph alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import networkx as nx

from sfg_nas.architecture.banks import bank_faults, norm_faults, sources_of
from sfg_nas.architecture.shapes import shape_faults
from sfg_nas.operations import Kind, vocabulary

SPECIAL = ("input", "output", "select", "constant")
MAX_FEATURES = 2**31  # values of one example at one node
MAX_WEIGHTS = 2**30  # of all nodes together: four gigabytes


def lint_graph(graph: nx.DiGraph[str]) -> list[str]:
    """Return what is wrong with an architecture graph, an empty list if nothing is.

    Checked: no cycles; known operations; every operand fed at every position exactly once; channel
    counts of nodes, edges and weights agree; settings fit the weights; every shape is what the
    operation gives for what it reads (computed anew); the reading rule (what serves tasks S reads
    only what serves all of S); every task has one output and the image reaches it; no node is dead.
    """
    if not nx.is_directed_acyclic_graph(graph):
        return ["the graph has a cycle"]
    faults = [fault for name in sorted(graph) for fault in _node_faults(graph, name)]
    if faults:
        return faults
    faults = [*_graph_faults(graph), *_weight_faults(graph)]
    # Shapes last: only a graph that is sound so far is run.
    return (
        [*faults, *_flow_faults(graph)]
        if faults
        else [
            *shape_faults(graph),
            *_flow_faults(graph),
        ]
    )


def _node_faults(graph: nx.DiGraph[str], name: str) -> Iterator[str]:
    node = graph.nodes[name]
    tasks = graph.graph["tasks"]
    known = vocabulary()
    if node["op"] not in SPECIAL and node["op"] not in known:
        yield f"`{name}`: unknown operation `{node['op']}`"
        return
    if not node["group"] or not set(node["group"]) <= set(tasks):
        yield f"`{name}`: group {node['group']} is not made of the tasks {tasks}"
    size = 1
    for length in node["shape"]:
        size *= length
    if size > MAX_FEATURES:
        yield f"`{name}`: {size} values per example are more than {MAX_FEATURES}"
    yield from _slot_faults(graph, name)
    yield from _channel_faults(graph, name)


def _channel_faults(graph: nx.DiGraph[str], name: str) -> Iterator[str]:
    """Yield disagreements about channels, and what is read against the rule."""
    node = graph.nodes[name]
    axis = node["axis"]
    if axis is not None and not 1 <= axis <= len(node["shape"]):
        yield f"`{name}`: channel axis {axis} does not exist in shape {node['shape']}"
    elif axis is not None and node["shape"][axis - 1] != len(node["channels"]):
        size = node["shape"][axis - 1]
        yield f"`{name}`: {len(node['channels'])} channels but size {size} along them"
    if len(set(node["channels"])) != len(node["channels"]):
        yield f"`{name}`: a channel is listed twice"
    for source in graph.predecessors(name):
        theirs = graph.nodes[source]["group"]
        if not set(node["group"]) <= set(theirs):
            yield f"`{name}` (for {node['group']}) reads `{source}`, which serves only {theirs}"
        expected = len(graph.nodes[source]["channels"])
        if graph.edges[source, name]["channels"] != expected:
            yield f"edge `{source}` to `{name}`: channels should be {expected}"


def _slot_faults(graph: nx.DiGraph[str], name: str) -> Iterator[str]:
    node = graph.nodes[name]
    slots = sorted(tuple(s) for _, _, d in graph.in_edges(name, data=True) for s in d["slots"])
    if len(set(slots)) != len(slots):
        yield f"`{name}`: two edges take the same slot"
        return
    for operand, label in enumerate(node["operands"]):
        positions = [p for o, p in slots if o == operand]
        if positions != list(range(len(positions))):
            yield f"`{name}`: inputs of operand `{label}` are not numbered from 0"
        if not positions:
            yield f"`{name}`: operand `{label}` is not fed"
    if any(operand >= len(node["operands"]) for operand, _ in slots):
        yield f"`{name}`: an edge feeds an operand that does not exist"


def _graph_faults(graph: nx.DiGraph[str]) -> Iterator[str]:
    """Yield what is wrong with the graph as a whole."""
    tasks, groups = graph.graph["tasks"], graph.graph["groups"]
    if not tasks or len(set(tasks)) != len(tasks):
        yield f"tasks must be named, and differ: {tasks}"
    for group in groups:
        if not group or not set(group) <= set(tasks) or len(set(group)) != len(group):
            yield f"group {group} is not made of the tasks {tasks}"
    weights = 0
    for _, node in graph.nodes(data=True):
        for parameter in node["params"].values():
            size = 1
            for length in parameter["shape"]:
                size *= length
            weights += size
    if weights > MAX_WEIGHTS:
        yield f"{weights} weights are more than {MAX_WEIGHTS}"


def _weight_faults(graph: nx.DiGraph[str]) -> Iterator[str]:
    """Yield disagreements between weights and the channels around them."""
    known = vocabulary()
    for name in sorted(graph):
        node = graph.nodes[name]
        kind = known[node["op"]].kind if node["op"] in known else None
        if kind in (Kind.CONV, Kind.CONV_TRANSPOSE, Kind.LINEAR):
            yield from bank_faults(graph, name, kind)
        elif kind in (Kind.CHANNEL_NORM, Kind.MIXING_NORM):
            yield from norm_faults(graph, name, kind)
        if node["op"] == "select":
            yield from _select_faults(graph, name)


def _select_faults(graph: nx.DiGraph[str], name: str) -> Iterator[str]:
    node = graph.nodes[name]
    positions, axis = node["settings"].get("positions"), node["axis"]
    count = sum(len(graph.nodes[s]["channels"]) for s in sources_of(graph, name))
    good: Callable[[object], bool] = lambda p: isinstance(p, int) and -1 <= p < count  # noqa: E731
    if not isinstance(positions, list) or not all(good(p) for p in positions):
        yield f"`{name}`: settings.positions must be indices into {count} channels, or -1"
    elif axis is None or len(positions) != len(node["channels"]):
        yield f"`{name}`: {len(positions)} positions for {len(node['channels'])} channels"


def _flow_faults(graph: nx.DiGraph[str]) -> Iterator[str]:
    """Yield heads that nothing reaches and nodes that reach no head."""
    inputs = [n for n in graph if graph.nodes[n]["op"] == "input"]
    if len(inputs) != 1:
        yield f"there must be one input node, not {len(inputs)}"
        return
    outputs = [n for n in graph if graph.nodes[n]["op"] == "output"]
    served = sorted(graph.nodes[n]["group"][0] for n in outputs)
    tasks = sorted(graph.graph["tasks"])
    if not outputs or len(set(served)) != len(served) or not set(served) <= set(tasks):
        yield f"each task needs one output: tasks {tasks}, outputs for {served}"
    reached = nx.descendants(graph, inputs[0])
    for name in outputs:
        if name not in reached:
            yield f"the head of task `{graph.nodes[name]['group'][0]}` is not fed by the image"
    alive = set(outputs)
    for name in outputs:
        alive |= nx.ancestors(graph, name)
    for name in sorted(set(graph) - alive):
        yield f"`{name}` is dead: no head reads it"
