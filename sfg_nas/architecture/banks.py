"""Checks of nodes with weights: filter banks and norms."""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from sfg_nas.operations import Kind

MAX_NORM_GROUPS = 2**20


def sources_of(graph: nx.DiGraph[str], name: str, operand: int = 0) -> list[str]:
    """Return the nodes that one operand of a node reads, in order."""
    slots = [
        (slot[1], u)
        for u, _, d in graph.in_edges(name, data=True)
        for slot in d["slots"]
        if slot[0] == operand
    ]
    return [u for _, u in sorted(slots)]


def bank_faults(graph: nx.DiGraph[str], name: str, kind: Kind) -> Iterator[str]:
    """Yield disagreements between a filter bank, its settings and the channels around it."""
    node = graph.nodes[name]
    weight = node["params"].get("weight")
    if weight is None or len(weight["shape"]) < 2:
        yield f"`{name}`: a weight of two or more dimensions is missing"
        return
    groups = node["settings"].get("groups", 1)
    if not isinstance(groups, int) or isinstance(groups, bool) or groups < 1:
        yield f"`{name}`: settings.groups is {groups!r}"
        return
    shape = weight["shape"]
    kernel = node["settings"].get("kernel_size")
    if kind is not Kind.LINEAR and kernel is not None and kernel != shape[2:]:
        yield f"`{name}`: settings.kernel_size {kernel} where the weight has {shape[2:]}"
    count = sum(_width(graph.nodes[s], kind) for s in sources_of(graph, name))
    filters = node["shape"][-1] if kind is Kind.LINEAR else node["shape"][0]
    expected = {
        Kind.LINEAR: [filters, count],
        Kind.CONV: [filters, count // groups],
        Kind.CONV_TRANSPOSE: [count, filters // groups],
    }[kind]
    if shape[:2] != expected:
        yield f"`{name}`: weight {shape} does not fit {count} channels in and {filters} filters"
    elif groups > 1 and (count % groups or filters % groups):
        yield f"`{name}`: {count} channels and {filters} filters do not divide into {groups} groups"
    bias = node["params"].get("bias")
    stray = set(node["params"]) - {"weight", "bias"}
    if stray:
        yield f"`{name}`: params {sorted(stray)} are not those of a filter bank"
    if bias is not None and bias["shape"] != [filters]:
        yield f"`{name}`: bias {bias['shape']} does not fit {filters} filters"


def _width(node: dict[str, list[int]], kind: Kind) -> int:
    return node["shape"][-1] if kind is Kind.LINEAR else node["shape"][0]


def norm_faults(graph: nx.DiGraph[str], name: str, kind: Kind) -> Iterator[str]:
    """Yield disagreements between a norm, its parameters and its channels."""
    node = graph.nodes[name]
    if kind is Kind.CHANNEL_NORM:
        count = len(node["channels"]) if node["axis"] is not None else node["shape"][0]
        for label, parameter in node["params"].items():
            if parameter["shape"] != [count]:
                yield f"`{name}`: {label} has shape {parameter['shape']} for {count} channels"
        return
    if "over" in node["settings"]:
        yield from _read_norm_faults(graph, name)


def _read_norm_faults(graph: nx.DiGraph[str], name: str) -> Iterator[str]:
    """Yield what is wrong with a norm over all that its owner may read."""
    node = graph.nodes[name]
    settings, axis, over = node["settings"], node["axis"], node["settings"]["over"]
    dims = range(1, len(node["shape"]) + 1)
    if len(node["operands"]) != 2 or axis is None or settings.get("axis") != axis:
        yield f"`{name}`: a norm over what may be read needs two operands and its channel axis"
        return
    if not isinstance(over, list) or not all(d in dims and d != axis for d in over):
        yield f"`{name}`: settings.over must name other axes of {node['shape']}"
    count, total = settings.get("norm_groups"), settings.get("of_channels")
    good = isinstance(count, int) and isinstance(total, int)
    if not good or not 1 <= count <= total <= MAX_NORM_GROUPS:
        yield f"`{name}`: `1 <= norm_groups <= of_channels` must hold, not {count!r} and {total!r}"
        return
    read = [c for s in sources_of(graph, name, 1) for c in graph.nodes[s]["channels"]]
    if len(set(read)) != len(read) or not set(node["channels"]) <= set(read):
        yield f"`{name}`: the channels that are read must differ and hold its own"
    elif max(read) >= total:
        yield f"`{name}`: channel {max(read)} of {total}"
    if not isinstance(settings.get("eps"), float | int):
        yield f"`{name}`: settings.eps must be a number"
