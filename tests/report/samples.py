"""Architectures made by hand, so that drawings are tested without a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import networkx as nx

from sfg_nas.architecture import Architecture

Counts = Mapping[str, int]  # group name such as "age+gender" -> filters


def sample(
    tasks: Sequence[str],
    layers: Sequence[Counts],
    *,
    residual: bool = False,
    side: int = 32,
) -> Architecture:
    """Return a chain of 3x3 convolutions with batch norm, ReLU and one linear head per task.

    Args:
        tasks: Names of the tasks.
        layers: Filters of each group in each layer.
        residual: Whether every second layer is added to what the one before the last gave.
        side: Height and width of the image; every second layer is pooled.
    """
    everyone = "+".join(tasks)
    groups = list(dict.fromkeys([*tasks, *[name for counts in layers for name in counts]]))
    graph: nx.DiGraph[str] = nx.DiGraph(
        schema=1,
        tasks=list(tasks),
        groups=[group.split("+") for group in groups],
        input_shape=[3, side, side],
    )
    order = iter(range(10**6))
    add_node(graph, "input", everyone, op="input", channels=3, side=side, order=next(order))
    sources = {everyone: f"input@{everyone}"}
    earlier: dict[str, str] = {}
    for index, counts in enumerate(layers):
        place = next(order), next(order), next(order), next(order)
        current: dict[str, str] = {}
        for group, filters in counts.items():
            path = f"backbone.features.{index}"
            conv = add_node(
                graph, path, group, op="conv2d", channels=filters, side=side, order=place[0]
            )
            read = connect(graph, sources, conv)
            graph.nodes[conv]["params"] = {"weight": weight([filters, read, 3, 3])}
            graph.nodes[conv]["settings"] = {"stride": [1, 1]}
            last = after(graph, conv, f"{path}.norm", "batch_norm", place[1])
            if residual and index % 2 == 1 and len(earlier.get(group, "")) > 0:
                join = add_node(
                    graph, f"add_{index}", group, op="add.Tensor", channels=filters, side=side,
                    order=place[2],
                )  # fmt: skip
                graph.add_edge(last, join, slots=[[0, 0]], channels=filters)
                graph.add_edge(earlier[group], join, slots=[[1, 0]], channels=filters)
                last = join
            current[group] = after(graph, last, f"relu_{index}", "relu", place[3])
        if not residual or index % 2 == 1 or index == 0:
            earlier = current
        sources = current
        side = max(1, side // 2) if index % 2 == 1 and not residual else side
    pools = {
        g: after(graph, n, "pool", "adaptive_avg_pool2d", next(order)) for g, n in sources.items()
    }
    heads, ends = next(order), next(order)
    for task in tasks:
        head = add_node(graph, f"heads.{task}", task, op="linear", channels=2, side=0, order=heads)
        read = connect(graph, pools, head)
        graph.nodes[head]["params"] = {"weight": weight([2, read])}
        end = add_node(graph, "output", task, op="output", channels=2, side=0, order=ends)
        graph.add_edge(head, end, slots=[[0, 0]], channels=2)
    return Architecture(graph)


def add_node(
    graph: nx.DiGraph[str], layer: str, group: str, *, op: str, channels: int, side: int, order: int
) -> str:
    """Add a node with the attributes of an architecture; a side of 0 makes a vector."""
    name = f"{layer}@{group}"
    graph.add_node(
        name,
        op=op,
        layer=layer,
        group=group.split("+"),
        channels=list(range(channels)),
        axis=1,
        shape=[channels, side, side] if side else [channels],
        settings={},
        operands=["input", "other"],
        params={},
        item=None,
        order=order,
        repeats=1,
    )
    return name


def after(graph: nx.DiGraph[str], source: str, layer: str, op: str, order: int) -> str:
    """Add an operation of the same shape after a node."""
    node = graph.nodes[source]
    group = "+".join(node["group"])
    side = node["shape"][1] if len(node["shape"]) > 1 else 0
    name = add_node(
        graph, layer, group, op=op, channels=len(node["channels"]), side=side, order=order
    )
    graph.add_edge(source, name, slots=[[0, 0]], channels=len(node["channels"]))
    return name


def connect(graph: nx.DiGraph[str], sources: Mapping[str, str], target: str) -> int:
    """Let a node read every source its group may read; return how many channels that are."""
    read = 0
    mine = set(graph.nodes[target]["group"])
    for position, source in enumerate(sources.values()):
        if mine <= set(graph.nodes[source]["group"]):
            channels = len(graph.nodes[source]["channels"])
            graph.add_edge(source, target, slots=[[0, position]], channels=channels)
            read += channels
    return read


def weight(shape: list[int]) -> dict[str, object]:
    """Return the record of a trained weight."""
    return {"key": None, "shape": shape, "axis": 0, "trained": True, "fill": 0.0, "values": None}


def two_tasks() -> Architecture:
    """Return a small network of age and gender that parts with depth."""
    return sample(
        ("age", "gender"),
        [
            {"age+gender": 16},
            {"age+gender": 28, "age": 4},
            {"age+gender": 40, "age": 14, "gender": 10},
            {"age+gender": 12, "age": 30, "gender": 22},
            {"age": 36, "gender": 28},
        ],
    )
