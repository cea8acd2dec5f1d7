"""Checks of nodes with weights: filter banks and norms."""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from sfg_nas.architecture.text import fault
from sfg_nas.operations import Kind, default_eps

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
        rule, do = "a filter bank has a weight of two or more dimensions", "give it `params.weight`"
        yield fault(name, rule, "none", do)
        return
    groups = node["settings"].get("groups", 1)
    if type(groups) is not int or groups < 1:
        rule, do = "settings.groups is a count", "set it to 1, or leave it out"
        yield fault(name, rule, repr(groups)[:50], do)
        return
    shape = weight["shape"]
    kernel = node["settings"].get("kernel_size")
    if kind is not Kind.LINEAR and kernel is not None and kernel != shape[2:]:
        rule = f"settings.kernel_size is that of the weight, {shape[2:]}"
        yield fault(name, rule, f"{kernel}"[:50], "correct one of the two")
    count = sum(_width(graph.nodes[s], kind) for s in sources_of(graph, name))
    filters = node["shape"][-1] if kind is Kind.LINEAR else node["shape"][0]
    expected = {
        Kind.LINEAR: [filters, count],
        Kind.CONV: [filters, count // groups],
        Kind.CONV_TRANSPOSE: [count, filters // groups],
    }[kind]
    if shape[:2] != expected:
        rule = f"params.weight fits {count} channels in and {filters} filters"
        do = f"let its shape begin with {expected}"
        yield fault(name, rule, f"the shape {shape}", do)
    elif groups > 1 and (count % groups or filters % groups):
        rule = f"channels and filters divide into {groups} groups"
        yield fault(name, rule, f"{count} channels and {filters} filters", "correct the counts")
    bias = node["params"].get("bias")
    stray = set(node["params"]) - {"weight", "bias"}
    if stray:
        rule, do = "params are weight and bias", "remove the others"
        yield fault(name, rule, f"{sorted(stray)}, which are not those of a filter bank", do)
    if bias is not None and bias["shape"] != [filters]:
        rule, do = f"params.bias fits {filters} filters", f"set its shape to {[filters]}"
        yield fault(name, rule, f"the shape {bias['shape']}", do)


def _width(node: dict[str, list[int]], kind: Kind) -> int:
    return node["shape"][-1] if kind is Kind.LINEAR else node["shape"][0]


def norm_faults(graph: nx.DiGraph[str], name: str, kind: Kind) -> Iterator[str]:
    """Yield disagreements between a norm, its parameters and its channels."""
    node = graph.nodes[name]
    if kind is Kind.CHANNEL_NORM:
        count = len(node["channels"]) if node["axis"] is not None else node["shape"][0]
        for label, parameter in node["params"].items():
            if parameter["shape"] != [count]:
                rule, do = f"params.{label} fits {count} channels", f"set its shape to {[count]}"
                yield fault(name, rule, f"the shape {parameter['shape']}", do)
        return
    if "over" in node["settings"]:
        yield from _read_norm_faults(graph, name)


def _read_norm_faults(graph: nx.DiGraph[str], name: str) -> Iterator[str]:
    """Yield what is wrong with a norm over all that its owner may read."""
    node = graph.nodes[name]
    settings, axis, over = node["settings"], node["axis"], node["settings"]["over"]
    dims = range(1, len(node["shape"]) + 1)
    do = "copy `settings` from a norm like it, and correct what differs"
    if len(node["operands"]) != 2 or axis is None or settings.get("axis") != axis:
        rule = "a norm over what may be read has two operands and settings.axis, its channel axis"
        found = f"{len(node['operands'])} operands and axis {settings.get('axis')!r}"[:100]
        yield fault(name, rule, found, do)
        return
    if not isinstance(over, list) or not all(d in dims and d != axis for d in over):
        rule = f"settings.over names other axes of the shape {node['shape']}"
        yield fault(name, rule, f"{over!r}"[:100], do)
        return
    count, total = settings.get("norm_groups"), settings.get("of_channels")
    good = isinstance(count, int) and isinstance(total, int)
    if not good or not 1 <= count <= total <= MAX_NORM_GROUPS:
        rule = "`1 <= norm_groups <= of_channels` must hold in settings"
        yield fault(name, rule, f"{count!r} and {total!r}"[:100], do)
        return
    read = [c for s in sources_of(graph, name, 1) for c in graph.nodes[s]["channels"]]
    if len(set(read)) != len(read) or not set(node["channels"]) <= set(read):
        rule, do = "the channels that are read differ and hold its own", "correct its edges"
        yield fault(name, rule, f"{len(set(read))} different of {len(read)}", do)
    elif max(read) >= total:
        rule = f"the channels that are read are below settings.of_channels, {total}"
        yield fault(name, rule, f"channel {max(read)}", do)
    by_precision = settings.get("eps") is None and default_eps(node["op"]) is None
    if not by_precision and not isinstance(settings.get("eps"), float | int):
        yield fault(name, "settings.eps is a number", f"{settings.get('eps')!r}"[:100], do)
