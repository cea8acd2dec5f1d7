"""Architecture graphs as JSON and GraphML text. Reading executes nothing and trusts nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast
from xml.etree.ElementTree import ParseError

import networkx as nx

from sfg_nas.architecture.form import GRAPH_KEYS, MAX_NODES, NODE_TYPES, ONE_SIZE, check_form
from sfg_nas.architecture.readable import described
from sfg_nas.architecture.text import AGAIN, decode_ranges, encode_ranges, format_error
from sfg_nas.files import strict_json

SCHEMA = 1
_WRITTEN = ("schema", *GRAPH_KEYS, ONE_SIZE)
MAX_CHANNELS = 4_000_000
"""Channels of all nodes together."""


def graph_to_json(graph: nx.DiGraph[str], *, indent: int | None) -> str:
    """Return canonical JSON text: nodes and edges sorted by name."""
    content = {
        "schema": SCHEMA,
        "tasks": list(graph.graph["tasks"]),
        "groups": [list(group) for group in graph.graph["groups"]],
        "input_shape": list(graph.graph["input_shape"]),
        "nodes": {name: plain_attributes(graph.nodes[name]) for name in sorted(graph)},
        "edges": [
            {"from": u, "to": v, "slots": d["slots"], "channels": d["channels"]}
            for u, v, d in sorted(graph.edges(data=True), key=lambda e: (e[0], e[1]))
        ],
    }
    if graph.graph.get(ONE_SIZE):
        content[ONE_SIZE] = True
    return json.dumps(content, indent=indent, sort_keys=True)


def plain_attributes(node: Mapping[str, object]) -> dict[str, object]:
    """Return the attributes of a node that are written: without those that only describe it."""
    found = {key: node[key] for key in NODE_TYPES if key in node}
    return {**found, "channels": encode_ranges(cast("list[int]", node["channels"]))}


def read_graph(content: object, *, where: str) -> nx.DiGraph[str]:
    """Return the graph that parsed JSON content describes.

    Args:
        content: A parsed JSON value of any kind.
        where: Name of the source, for messages.

    Raises:
        ArchitectureError: The content does not follow the schema.
    """
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else type(content).__name__
        raise format_error(
            where, f"an architecture of schema {SCHEMA} is expected", repr(found)[:100]
        )
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.graph.update({key: content[key] for key in _WRITTEN if key in content})
    nodes, edges = content.get("nodes"), content.get("edges")
    if not isinstance(nodes, dict) or not isinstance(edges, list):
        raise format_error(where, "`nodes` is a mapping and `edges` a list", "something else")
    if len(nodes) > MAX_NODES or len(edges) > 10 * MAX_NODES:
        raise format_error(where, f"at most {MAX_NODES} nodes are read", f"{len(nodes)} nodes")
    total = 0
    for name, attributes in nodes.items():
        graph.add_node(name, **_node(name, attributes, where))
        channels = graph.nodes[name]["channels"]
        total += len(channels) if isinstance(channels, list) else 0
        if total > MAX_CHANNELS:
            raise format_error(
                where, f"at most {MAX_CHANNELS} channels are read", f"{total} so far"
            )
    for edge in edges:
        _add_edge(graph, edge, where)
    check_form(graph, where=where, do=AGAIN)
    return graph


def _node(name: str, attributes: object, where: str) -> dict[str, object]:
    place = f"{where}: node `{name[:100]}`"
    if not isinstance(attributes, dict):
        raise format_error(place, "attributes are a mapping", type(attributes).__name__)
    if set(attributes) != set(NODE_TYPES):
        odd = sorted(set(attributes) ^ set(NODE_TYPES))
        raise format_error(
            place, f"the attributes are {sorted(NODE_TYPES)}", f"a mismatch in {odd[:5]}"
        )
    found = dict(attributes)
    if isinstance(found["channels"], str):
        found["channels"] = decode_ranges(found["channels"], where=place)
    return found


def _add_edge(graph: nx.DiGraph[str], edge: object, where: str) -> None:
    place = f"{where}: edges"
    if not isinstance(edge, dict) or set(edge) != {"from", "to", "slots", "channels"}:
        raise format_error(place, "from, to, slots and channels are expected", repr(edge)[:100])
    u, v = edge["from"], edge["to"]
    known = isinstance(u, str) and isinstance(v, str) and u in graph and v in graph
    if not known:
        raise format_error(place, "both ends are nodes", f"{u!r} to {v!r}"[:200])
    if graph.has_edge(u, v):
        raise format_error(place, "each pair of nodes has one edge", f"{u!r} to {v!r} twice"[:200])
    graph.add_edge(u, v, slots=edge["slots"], channels=edge["channels"])


def to_graphml(graph: nx.DiGraph[str]) -> str:
    """Return GraphML text in which nested attributes are JSON text."""
    flat: nx.DiGraph[str] = nx.DiGraph()
    flat.graph.update({k: json.dumps(v) for k, v in graph.graph.items()})
    for name, data in graph.nodes(data=True):
        encoded = {k: json.dumps(v, sort_keys=True) for k, v in plain_attributes(data).items()}
        flat.add_node(name, **encoded, **described(data))
    for u, v, data in graph.edges(data=True):
        flat.add_edge(u, v, **{k: json.dumps(value) for k, value in data.items()})
    return "\n".join(nx.generate_graphml(flat)) + "\n"


def from_graphml(text: str, *, where: str) -> nx.DiGraph[str]:
    """Return the graph in a GraphML text.

    Raises:
        ArchitectureError: The text is damaged, or declares entities or a document type.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise format_error(where, "GraphML without document type or entities", "a declaration")
    try:
        flat = nx.parse_graphml(text, force_multigraph=False)
        if flat.is_multigraph() or not flat.is_directed() or text.count("<node ") != len(flat):
            raise format_error(where, "each node and edge stands once, directed", "another graph")
        content = {k: strict_json(v) for k, v in flat.graph.items() if k in _WRITTEN}
        content["nodes"] = {
            str(name): {k: strict_json(v) for k, v in data.items() if k not in described({})}
            for name, data in flat.nodes(data=True)
        }
        content["edges"] = [
            {"from": u, "to": v}
            | {key: strict_json(value) for key, value in data.items() if key != "id"}
            for u, v, data in flat.edges(data=True)
        ]
    except (
        nx.NetworkXError,
        ParseError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RecursionError,
    ) as err:
        found = f"{type(err).__name__}: {str(err)[:200]}"
        raise format_error(where, "GraphML as written by `export` is expected", found) from err
    return read_graph(content, where=where)
