"""The form of an architecture graph: which attributes there are, and of which types."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

import networkx as nx

from sfg_nas.architecture.text import format_error

MAX_NODES = 50_000
GRAPH_KEYS = ("tasks", "groups", "input_shape")
ONE_SIZE = "one_size"
"""Attribute of a graph that does not hold for images of another size; it is missing where nothing is known of that."""
_PARAMETER_KEYS = {"key", "shape", "axis", "trained", "fill", "values"}
_OPTIONAL_KEYS = {"spread", "frozen"}
NODE_TYPES: Mapping[str, tuple[type, ...]] = {
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


class PlainGraph(nx.DiGraph):  # type: ignore[type-arg]
    """A directed graph whose copies share nothing with it, not even the lists in its attributes."""

    def copy(self, as_view: bool = False) -> nx.DiGraph[str]:  # type: ignore[override]
        """Return a copy that may be changed, or a view."""
        return super().copy(as_view=True) if as_view else plain_copy(self, nx.DiGraph())


def plain_copy(graph: nx.DiGraph[str], into: nx.DiGraph[str]) -> nx.DiGraph[str]:
    """Copy a graph into an empty one, its tuples and arrays as lists and their numbers as Python's own.

    Args:
        graph: Any graph.
        into: An empty graph, which is returned.
    """
    into.graph.update(_plain(graph.graph))
    into.add_nodes_from((n, _plain(data)) for n, data in graph.nodes(data=True))
    into.add_edges_from((u, v, _plain(data)) for u, v, data in graph.edges(data=True))
    return into


def _plain(value: Any) -> Any:  # noqa: ANN401
    if hasattr(value, "tolist"):  # of NumPy, torch and the like
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [v if type(v) is int else _plain(v) for v in value]
    return value


def check_form(graph: nx.DiGraph[str], *, where: str, do: str) -> None:
    """Check the attributes of a graph, its nodes and its edges, apart from what they mean.

    Args:
        graph: Any graph.
        where: Name of the source, for messages.
        do: What the reader can do about it.

    Raises:
        ArchitectureError: An attribute is missing or of a wrong type.
    """
    found = next(_form_faults(graph), None)
    if found is not None:
        place, rule, wrong = found
        raise format_error(f"{where}: {place}", rule, wrong, do=do)


Found = tuple[str, str, str]  # where, the rule, what was found


def _form_faults(graph: nx.DiGraph[str]) -> Iterator[Found]:
    data = graph.graph
    missing = [key for key in GRAPH_KEYS if key not in data]
    if missing:
        yield "attributes of the graph", f"{', '.join(GRAPH_KEYS)} are needed", f"no {missing}"
        return
    groups = data["groups"]
    yield from _strings(data["tasks"], "tasks")
    if not isinstance(groups, list):
        yield "groups", "a list of groups is expected", type(groups).__name__
        return
    for group in groups:
        yield from _strings(group, "groups")
    yield from _sizes(data["input_shape"], "input_shape")
    if not isinstance(data.get(ONE_SIZE, False), bool):
        yield ONE_SIZE, "true or false is expected", repr(data[ONE_SIZE])[:100]
    for name, node in graph.nodes(data=True):
        if not isinstance(name, str):
            yield "nodes", "names are text", repr(name)[:100]
            return
        yield from _node(node, f"node `{name[:100]}`")
    for source, target, edge in graph.edges(data=True):
        yield from _edge(edge, f"edge `{source[:100]}` to `{target[:100]}`")


def _node(node: Mapping[str, object], place: str) -> Iterator[Found]:
    lacking = sorted(NODE_TYPES.keys() - node.keys())
    if lacking:
        yield place, f"the attributes {sorted(NODE_TYPES)} are needed", f"no {lacking[:5]}"
        return
    for key, kinds in NODE_TYPES.items():
        if not isinstance(node[key], kinds) or isinstance(node[key], bool):
            yield f"{place}: {key}", f"{kinds[0].__name__} expected", repr(node[key])[:100]
            return
    yield from _sizes(node["shape"], f"{place}: shape")
    yield from _sizes(node["channels"], f"{place}: channels", least=0)
    yield from _strings(node["group"], f"{place}: group")
    yield from _strings(node["operands"], f"{place}: operands")
    yield from _settings(node["settings"], f"{place}: settings")
    yield from _parameters(cast("dict[object, object]", node["params"]), place)
    if not 1 <= cast("int", node["repeats"]) <= 10**6:
        yield f"{place}: repeats", "1..1000000 expected", repr(node["repeats"])[:100]


def _settings(value: object, place: str, depth: int = 0) -> Iterator[Found]:
    """Yield settings that are neither plain values nor lists of them."""
    if isinstance(value, dict) and depth == 0:
        for key, item in value.items():
            yield from _settings(item, f"{place}.{str(key)[:50]}", 1)
    elif isinstance(value, list) and depth < 4:
        for item in value:
            yield from _settings(item, place, depth + 1)
    elif depth == 0 or not (value is None or isinstance(value, bool | int | float | str)):
        yield place, "plain values and lists are expected", repr(value)[:100]
    elif isinstance(value, int) and abs(value) >= 2**62:
        yield place, "numbers of at most 62 bits are expected", "a larger one"


def _parameters(params: Mapping[object, object], place: str) -> Iterator[Found]:
    for name, value in params.items():
        where = f"{place}: params.{str(name)[:50]}"
        if not isinstance(value, dict) or set(value) - _OPTIONAL_KEYS != _PARAMETER_KEYS:
            yield where, f"{sorted(_PARAMETER_KEYS)} are expected", repr(value)[:100]
            return
        yield from _sizes(value["shape"], where)
        good = (
            isinstance(value["key"], str | None)
            and isinstance(value["axis"], int | None)
            and not isinstance(value["axis"], bool)
            and isinstance(value["trained"], bool)
            and isinstance(value.get("frozen", False), bool)
            and isinstance(value["fill"], int | float)
            and _is_spread(value.get("spread", 1.0))
            and _is_constant(value["values"], value["shape"])
        )
        if not good:
            yield where, "fields of the right types are expected", repr(value)[:100]


def _is_spread(value: object) -> bool:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return known and 0 <= float(cast(float, value)) < math.inf


def _is_constant(values: object, shape: list[int]) -> bool:
    """Return whether values are missing, or numbers (or truths) for every place of a shape."""
    if values is None:
        return True
    if not isinstance(values, list) or len(values) != math.prod(shape):
        return False
    truths = sum(isinstance(v, bool) for v in values)
    return truths in (0, len(values)) and all(isinstance(v, int | float) for v in values)


def _edge(edge: Mapping[str, object], place: str) -> Iterator[Found]:
    slots, channels = edge.get("slots"), edge.get("channels")
    good = isinstance(slots, list) and all(
        isinstance(slot, list)
        and len(slot) == 2
        and all(type(i) is int and 0 <= i < MAX_NODES for i in slot)
        for slot in slots
    )
    if not good or not slots:
        yield f"{place}: slots", "pairs [operand, position] are expected", repr(slots)[:100]
    elif type(channels) is not int or channels < 0:
        yield f"{place}: channels", "a count is expected", repr(channels)[:100]


def _strings(value: object, place: str) -> Iterator[Found]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        yield place, "a list of names is expected", repr(value)[:100]


def _sizes(value: object, place: str, *, least: int = 1) -> Iterator[Found]:
    if not isinstance(value, list) or not all(type(v) is int and least <= v < 2**31 for v in value):
        yield place, f"a list of whole numbers >= {least} is expected", repr(value)[:100]
