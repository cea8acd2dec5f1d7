"""Proof that an architecture graph keeps its rules, from the graph alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import networkx as nx

from sfg_nas.architecture.banks import bank_faults, norm_faults, sources_of
from sfg_nas.architecture.shapes import shape_faults
from sfg_nas.architecture.text import fault
from sfg_nas.operations import BANKS, NORMS, Kind, vocabulary

SPECIAL = ("input", "output", "select", "constant")
MAX_FEATURES = 2**31  # values of one example at one node
MAX_WEIGHTS = 2**30  # of all nodes together: four gigabytes


def lint_graph(graph: nx.DiGraph[str]) -> list[str]:
    """Return what is wrong with an architecture graph, an empty list if nothing is.

    Checked: no cycles; known operations and operands; one node for each layer and group, each filter in one of
    them; every operand fed at every position exactly once; channel counts of nodes, edges and weights
    agree; settings fit the weights; every shape is what the operation gives for what it reads (computed
    anew); the reading rule (what serves tasks S reads only what serves all of S); every task has one
    output and the image reaches it; no node is dead.

    Returns:
        One line for each fault: where, the rule, what was found, what to do.
    """
    if not nx.is_directed_acyclic_graph(graph):
        circle = " to ".join(f"`{u}`" for u, _ in nx.find_cycle(graph))[:200]
        rule = "features flow from the image to the heads, and never back"
        do = "remove an edge of the cycle"
        return [fault("the graph", rule, f"a cycle through {circle}", do)]
    faults = [found for name in sorted(graph) for found in _node_faults(graph, name)]
    if faults:
        return faults
    faults = [*_graph_faults(graph), *_layer_faults(graph), *_weight_faults(graph)]
    # Shapes last: only a graph that is sound so far is run.
    flow = list(_flow_faults(graph))
    return [*faults, *flow] if faults else [*shape_faults(graph), *flow]


def _node_faults(graph: nx.DiGraph[str], name: str) -> Iterator[str]:
    node = graph.nodes[name]
    tasks = graph.graph["tasks"]
    if node["op"] not in SPECIAL and node["op"] not in vocabulary():
        rule, do = "operations are those of the vocabulary", "copy `op` from a node like it"
        yield fault(name, rule, f"the unknown operation `{node['op'][:100]}`", do)
        return
    group = node["group"]
    if not group or not set(group) <= set(tasks) or len(set(group)) != len(group):
        rule = f"a group is some of the tasks {tasks}"
        yield fault(name, rule, f"{group}", "correct `group`, or the graph's `tasks`")
    size = math.prod(node["shape"])
    if size > MAX_FEATURES:
        rule = f"at most {MAX_FEATURES} values per example"
        yield fault(name, rule, f"{size}, which are more than that", "correct `shape`")
    yield from _argument_faults(name, node)
    yield from _slot_faults(graph, name)
    yield from _channel_faults(graph, name)


def _argument_faults(name: str, node: Mapping[str, object]) -> Iterator[str]:
    """Yield names of operands that the operation does not take."""
    operation = vocabulary().get(str(node["op"]))
    if operation is None:
        return
    takes = [a.name for a in operation.call._schema.arguments if "Tensor" in str(a.type)]
    if operation.kind is Kind.MIXING_NORM:  # reads what its owner may read beside its own channels
        takes.append("read")
    operands = cast("list[str]", node["operands"])
    for stray in [label for label in operands if label not in takes][:1]:
        rule = f"operands of `{node['op']}` are some of {takes}"
        yield fault(name, rule, f"`{stray[:100]}`", "correct `operands`, or search again")


def _channel_faults(graph: nx.DiGraph[str], name: str) -> Iterator[str]:
    """Yield disagreements about channels, and what is read against the rule."""
    node = graph.nodes[name]
    axis, channels = node["axis"], node["channels"]
    if axis is not None and not 1 <= axis <= len(node["shape"]):
        rule = "`axis` is one of the shape's, the batch being 0"
        yield fault(name, rule, f"channel axis {axis} of shape {node['shape']}", "correct `axis`")
    elif axis is not None and node["shape"][axis - 1] != len(channels):
        found = f"{len(channels)} channels but size {node['shape'][axis - 1]} along axis {axis}"
        rule, do = "the shape has a place for each channel", "correct `channels` or `shape`"
        yield fault(name, rule, found, do)
    twice = [c for c, count in Counter(channels).items() if count > 1]
    if twice:
        rule, do = "each channel is listed once", "remove it once from `channels`"
        yield fault(name, rule, f"{twice[:10]} listed twice", do)
    for source in graph.predecessors(name):
        theirs = graph.nodes[source]["group"]
        if not set(node["group"]) <= set(theirs):
            rule = f"what serves {node['group']} reads only what serves all of these"
            found = f"an edge from `{source}`, which serves only {theirs}"
            yield fault(name, rule, found, "remove the edge, or correct `group`")
        expected = len(graph.nodes[source]["channels"])
        if graph.edges[source, name]["channels"] != expected:
            rule = f"its channels are those of `{source}`, {expected}"
            found = f"{graph.edges[source, name]['channels']}"
            yield fault(f"edge `{source}` to `{name}`", rule, found, f"set channels to {expected}")


def _slot_faults(graph: nx.DiGraph[str], name: str) -> Iterator[str]:
    operands = graph.nodes[name]["operands"]
    slots = sorted(tuple(s) for _, _, d in graph.in_edges(name, data=True) for s in d["slots"])
    do = "correct the `slots` of its edges, or add the edge that is missing"
    if len(set(slots)) != len(slots):
        twice = next(slot for slot in slots if slots.count(slot) > 1)
        yield fault(name, "each slot takes one edge", f"two edges take the slot {list(twice)}", do)
        return
    for operand, label in enumerate(operands):
        positions = [p for o, p in slots if o == operand]
        if not positions:
            yield fault(name, f"operand `{label}` reads something", "it is not fed", do)
        elif positions != list(range(len(positions))):
            rule = f"inputs of operand `{label}` are numbered from 0"
            yield fault(name, rule, f"{positions}", do)
    strays = sorted({o for o, _ in slots if o >= len(operands)})
    if strays:
        rule, found = f"operands are 0 to {len(operands) - 1}", f"an edge that feeds {strays[0]}"
        yield fault(name, rule if operands else "it reads nothing", found, do)


def _graph_faults(graph: nx.DiGraph[str]) -> Iterator[str]:
    """Yield what is wrong with the graph as a whole."""
    tasks, groups = graph.graph["tasks"], graph.graph["groups"]
    if not tasks or len(set(tasks)) != len(tasks):
        yield fault("the graph", "tasks are named, and differ", f"{tasks}", "correct `tasks`")
    for group in groups:
        if not group or not set(group) <= set(tasks) or len(set(group)) != len(group):
            rule = f"a group is made of the tasks {tasks}"
            yield fault("the graph", rule, f"{group}", "correct `groups`")
    weights = sum(
        math.prod(parameter["shape"])
        for _, node in graph.nodes(data=True)
        for parameter in node["params"].values()
    )
    if weights > MAX_WEIGHTS:
        rule, do = f"at most {MAX_WEIGHTS} weights", "make the network narrower"
        yield fault("the graph", rule, f"{weights}, which are more than that", do)


def _layer_faults(graph: nx.DiGraph[str]) -> Iterator[str]:
    """Yield groups that have a second node of a layer, and channels that two nodes of a layer hold."""
    by_group: dict[tuple[str, frozenset[str]], str] = {}
    by_channel: dict[tuple[str, int], str] = {}
    for name in sorted(graph):
        node = graph.nodes[name]
        if node["op"] == "output":
            continue
        other = by_group.setdefault((node["layer"], frozenset(node["group"])), name)
        if other != name:
            rule = f"a layer has one node for each group, here of `{node['layer']}`"
            found, do = f"`{other}` for {node['group']}, too", "join the two, or correct `group`"
            yield fault(name, rule, found, do)
        if node["axis"] is None:
            continue
        for channel in node["channels"]:
            other = by_channel.setdefault((node["layer"], channel), name)
            if other != name:
                rule = f"each filter of layer `{node['layer']}` is in one group"
                found, do = f"{channel} in `{other}`, too", "remove it from one of the two"
                yield fault(name, rule, found, do)
                break


def _weight_faults(graph: nx.DiGraph[str]) -> Iterator[str]:
    """Yield disagreements between weights and the channels around them."""
    known = vocabulary()
    for name in sorted(graph):
        node = graph.nodes[name]
        kind = known[node["op"]].kind if node["op"] in known else None
        if kind in BANKS:
            yield from bank_faults(graph, name, kind)
        elif kind in NORMS:
            yield from norm_faults(graph, name, kind)
        if node["op"] == "select":
            yield from _select_faults(graph, name)


def _select_faults(graph: nx.DiGraph[str], name: str) -> Iterator[str]:
    node = graph.nodes[name]
    positions, axis = node["settings"].get("positions"), node["axis"]
    count = sum(_along(graph.nodes[s], axis) for s in sources_of(graph, name))
    good: Callable[[object], bool] = lambda p: isinstance(p, int) and -1 <= p < count  # noqa: E731
    do = "correct `settings.positions`"
    if not isinstance(positions, list) or not all(good(p) for p in positions):
        rule = f"settings.positions are indices into the {count} channels that it reads, or -1"
        yield fault(name, rule, f"{positions}"[:100], do)
    elif axis is None or len(positions) != len(node["channels"]):
        rule = f"settings.positions hold one for each of its {len(node['channels'])} channels"
        yield fault(name, rule, f"{len(positions)}", do)


def _along(node: Mapping[str, Any], axis: int | None) -> int:
    """Return what a node has along an axis, the batch being 0: also where its channels lie elsewhere."""
    whole = [node["repeats"], *node["shape"]]
    return whole[axis] if axis is not None and 0 <= axis < len(whole) else len(node["channels"])


def _flow_faults(graph: nx.DiGraph[str]) -> Iterator[str]:
    """Yield heads that nothing reaches and nodes that reach no head."""
    inputs = [n for n in graph if graph.nodes[n]["op"] == "input"]
    if len(inputs) != 1:
        do = "keep one node with `op` input"
        yield fault("the graph", "there is one input node", f"{len(inputs)}", do)
        return
    outputs = [n for n in graph if graph.nodes[n]["op"] == "output"]
    served = sorted(graph.nodes[n]["group"][0] for n in outputs)
    tasks = sorted(graph.graph["tasks"])
    if not outputs or len(set(served)) != len(served) or not set(served) <= set(tasks):
        rule = f"each task has one output, of {tasks}"
        yield fault("the graph", rule, f"outputs for {served}", "add or remove output nodes")
    reached = nx.descendants(graph, inputs[0])
    for name in outputs:
        if name not in reached:
            task = graph.nodes[name]["group"][0]
            rule = f"the image reaches the head of task `{task}`"
            do = "give the task filters in every layer, or connect those that it has"
            yield fault(name, rule, "a head that is not fed by the image", do)
    alive = set(outputs)
    for name in outputs:
        alive |= nx.ancestors(graph, name)
    for name in sorted(set(graph) - alive):
        do = "let something read it, or remove it"
        yield fault(name, "a head reads every node in the end", "it is dead: none does", do)
