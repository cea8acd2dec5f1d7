"""Architecture graphs as JSON and GraphML text. Reading executes nothing and trusts nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import cast
from xml.etree.ElementTree import ParseError

import networkx as nx

from sfg_nas.architecture.readable import described
from sfg_nas.architecture.text import decode_ranges, encode_ranges, format_error
from sfg_nas.files import strict_json

SCHEMA = 1
MAX_NODES = 50_000
MAX_CHANNELS = 4_000_000
"""Channels of all nodes together."""
_PARAMETER_KEYS = {"key", "shape", "axis", "trained", "fill", "values"}
_NODE_TYPES: Mapping[str, tuple[type, ...]] = {
    "op": (str,),
    "layer": (str,),
    "group": (list,),
    "channels": (list,),
    "axis": (int, type(None)),
    "shape": (list,),
    "settings": (dict,),
    "operands": (list,),
    "params": (dict,),
    "item": (int, type(None)),
    "order": (int,),
    "repeats": (int,),
}


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
    return json.dumps(content, indent=indent, sort_keys=True)


def plain_attributes(node: Mapping[str, object]) -> dict[str, object]:
    """Return the attributes of a node that are written: without those that only describe it."""
    found = {key: node[key] for key in _NODE_TYPES if key in node}
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
    tasks = _strings(content.get("tasks"), f"{where}: tasks")
    groups = content.get("groups")
    if not isinstance(groups, list):
        raise format_error(
            f"{where}: groups", "a list of groups is expected", type(groups).__name__
        )
    graph.graph.update(
        schema=SCHEMA,
        tasks=tasks,
        groups=[_strings(group, f"{where}: groups") for group in groups],
        input_shape=_sizes(content.get("input_shape"), f"{where}: input_shape"),
    )
    nodes, edges = content.get("nodes"), content.get("edges")
    if not isinstance(nodes, dict) or not isinstance(edges, list):
        raise format_error(where, "`nodes` is a mapping and `edges` a list", "something else")
    if len(nodes) > MAX_NODES or len(edges) > 10 * MAX_NODES:
        raise format_error(where, f"at most {MAX_NODES} nodes are read", f"{len(nodes)} nodes")
    total = 0
    for name, attributes in nodes.items():
        graph.add_node(name, **_node(name, attributes, where))
        total += len(graph.nodes[name]["channels"])
        if total > MAX_CHANNELS:
            raise format_error(
                where, f"at most {MAX_CHANNELS} channels are read", f"{total} so far"
            )
    for edge in edges:
        _add_edge(graph, edge, where)
    return graph


def _node(name: str, attributes: object, where: str) -> dict[str, object]:
    place = f"{where}: node `{name[:100]}`"
    if not isinstance(attributes, dict):
        raise format_error(place, "attributes are a mapping", type(attributes).__name__)
    if set(attributes) != set(_NODE_TYPES):
        odd = sorted(set(attributes) ^ set(_NODE_TYPES))
        raise format_error(
            place, f"the attributes are {sorted(_NODE_TYPES)}", f"a mismatch in {odd[:5]}"
        )
    found = dict(attributes)
    if isinstance(found["channels"], str):
        found["channels"] = decode_ranges(found["channels"], where=place)
    for key, kinds in _NODE_TYPES.items():
        if not isinstance(found[key], kinds) or isinstance(found[key], bool):
            raise format_error(
                f"{place}: {key}", f"{kinds[0].__name__} expected", repr(found[key])[:100]
            )
    _sizes(found["shape"], f"{place}: shape")
    _sizes(found["channels"], f"{place}: channels", least=0)
    _strings(found["group"], f"{place}: group")
    _strings(found["operands"], f"{place}: operands")
    _settings(found["settings"], f"{place}: settings")
    _parameters(found["params"], place)
    if not 1 <= found["repeats"] <= 10**6:
        raise format_error(f"{place}: repeats", "1..1000000 expected", repr(found["repeats"]))
    return found


def _settings(value: object, place: str, depth: int = 0) -> None:
    """Raise unless settings are plain values and lists of them."""
    if isinstance(value, dict) and depth == 0:
        for key, item in value.items():
            _settings(item, f"{place}.{str(key)[:50]}", 1)
    elif isinstance(value, list) and depth < 4:
        for item in value:
            _settings(item, place, depth + 1)
    elif depth == 0 or not (value is None or isinstance(value, bool | int | float | str)):
        raise format_error(place, "plain values and lists are expected", repr(value)[:100])
    elif isinstance(value, int) and abs(value) >= 2**62:
        raise format_error(place, "numbers of at most 62 bits are expected", "a larger one")


def _parameters(params: object, place: str) -> None:
    assert isinstance(params, dict)
    for name, value in params.items():
        where = f"{place}: params.{name[:50]}"
        if not isinstance(value, dict) or set(value) != _PARAMETER_KEYS:
            raise format_error(where, f"{sorted(_PARAMETER_KEYS)} are expected", repr(value)[:100])
        _sizes(value["shape"], where)
        good = (
            isinstance(value["key"], str | None)
            and isinstance(value["axis"], int | None)
            and not isinstance(value["axis"], bool)
            and isinstance(value["trained"], bool)
            and isinstance(value["fill"], int | float)
            and _is_constant(value["values"], value["shape"])
        )
        if not good:
            raise format_error(where, "fields of the right types are expected", repr(value)[:100])


def _is_constant(values: object, shape: list[int]) -> bool:
    """Return whether values are missing, or numbers for every place of a shape."""
    if values is None:
        return True
    if not isinstance(values, list) or len(values) != math.prod(shape):
        return False
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _add_edge(graph: nx.DiGraph[str], edge: object, where: str) -> None:
    place = f"{where}: edges"
    if not isinstance(edge, dict) or set(edge) != {"from", "to", "slots", "channels"}:
        raise format_error(place, "from, to, slots and channels are expected", repr(edge)[:100])
    u, v, slots, channels = edge["from"], edge["to"], edge["slots"], edge["channels"]
    known = isinstance(u, str) and isinstance(v, str) and u in graph and v in graph
    if not known:
        raise format_error(place, "both ends are nodes", f"{u!r} to {v!r}"[:200])
    good = isinstance(slots, list) and all(
        isinstance(s, list)
        and len(s) == 2
        and all(isinstance(i, int) and not isinstance(i, bool) and 0 <= i < MAX_NODES for i in s)
        for s in slots
    )
    if not good or not slots:
        raise format_error(place, "slots are pairs [operand, position]", repr(slots)[:100])
    if not isinstance(channels, int) or isinstance(channels, bool) or channels < 0:
        raise format_error(place, "channels is a count", repr(channels)[:100])
    graph.add_edge(u, v, slots=slots, channels=channels)


def _strings(value: object, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise format_error(where, "a list of names is expected", repr(value)[:100])
    return cast("list[str]", value)


def _sizes(value: object, where: str, *, least: int = 1) -> list[int]:
    good = isinstance(value, list) and all(
        isinstance(v, int) and not isinstance(v, bool) and least <= v < 2**31 for v in value
    )
    if not good:
        raise format_error(
            where, f"a list of whole numbers >= {least} is expected", repr(value)[:100]
        )
    return cast("list[int]", value)


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
        content = {k: strict_json(v) for k, v in flat.graph.items() if k in _GRAPH_KEYS}
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


_GRAPH_KEYS = ("schema", "tasks", "groups", "input_shape")
