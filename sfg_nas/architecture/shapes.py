"""Shapes of an architecture, computed anew from its input, operation by operation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import networkx as nx

from sfg_nas.architecture.text import fault
from sfg_nas.operations import Kind, vocabulary
from sfg_nas.operations_shapes import SHAPE_ERRORS, output_shape

BATCH = 2  # as in a trace: sizes that were noted down there hold for two examples


def shape_faults(graph: nx.DiGraph[str]) -> Iterator[str]:
    """Yield the nodes whose shape is not what their operation gives for what they read.

    Args:
        graph: A graph whose edges, operands and channels are sound.
    """
    shapes: dict[str, list[int]] = {}
    for name in nx.topological_sort(graph):
        node = graph.nodes[name]
        own = _whole(node)
        try:
            found = _shape(graph, name, shapes)
        except SHAPE_ERRORS as err:
            text = str(err).splitlines()[0][:160] if str(err) else type(err).__name__
            rule, do = f"`{node['op']}` fits what it reads", "correct its settings, or its edges"
            yield fault(name, rule, text, do)
            found = own
        if not _fits(found, node):
            rule, do = f"`shape` is what `{node['op']}` gives, {found[1:]}", "correct `shape`"
            yield fault(name, rule, f"{node['shape']}", do)
            found = own
        shapes[name] = found


def _shape(graph: nx.DiGraph[str], name: str, shapes: dict[str, list[int]]) -> list[int]:
    node = graph.nodes[name]
    if node["op"] == "input":
        return [BATCH, *graph.graph["input_shape"]]
    if node["op"] == "constant":
        return _whole(node)
    operands = _operands(graph, name, shapes)
    first = operands[node["operands"][0]]
    kind = vocabulary()[node["op"]].kind if node["op"] in vocabulary() else None
    if node["op"] == "output" or kind is Kind.CHANNEL_NORM:
        return first[0]
    if node["op"] == "select":
        axis = node["axis"]
        return [*first[0][:axis], len(node["settings"]["positions"]), *first[0][axis + 1 :]]
    if kind is Kind.MIXING_NORM and "over" in node["settings"]:
        return first[0]
    params = {label: record["shape"] for label, record in node["params"].items()}
    return output_shape(node["op"], operands, params, node["settings"], item=node["item"])


def _whole(node: Mapping[str, Any]) -> list[int]:
    """Return the shape a node says it gives, with the batch where a constant has it, or else first."""
    free = node["settings"].get("free", 0)
    whole = [node["repeats"], *node["shape"]]
    if isinstance(free, int) and 0 <= free < len(whole):
        whole[free] *= BATCH
    return whole


def _fits(found: list[int], node: Mapping[str, Any]) -> bool:
    """Return whether a shape is a node's own: the batch may lie first, or along a later dimension."""
    own = [node["repeats"], *node["shape"]]
    if found[1:] == node["shape"] and max(found[0] // BATCH, 1) == node["repeats"]:
        return True
    return any(
        found == [*own[:free], own[free] * BATCH, *own[free + 1 :]] for free in range(1, len(own))
    )


def _operands(
    graph: nx.DiGraph[str], name: str, shapes: dict[str, list[int]]
) -> dict[str, list[list[int]]]:
    """Return, for each operand, the shapes that are read, in order."""
    slots = sorted(
        (operand, position, source)
        for source, _, data in graph.in_edges(name, data=True)
        for operand, position in data["slots"]
    )
    found: dict[str, list[list[int]]] = {label: [] for label in graph.nodes[name]["operands"]}
    labels = list(found)
    for operand, _, source in slots:
        found[labels[operand]].append(shapes[source])
    return found
