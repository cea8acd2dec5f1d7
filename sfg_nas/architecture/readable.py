"""What a person, or another program, reads off a node: plain words and numbers.

These attributes only describe: they are written anew from the others for every `Architecture`, and
are in no JSON file. To change a graph, change the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import networkx as nx

DESCRIPTIVE = ("operation", "kernel", "stride", "dilation", "filters", "tasks")


def description(node: Mapping[str, Any]) -> dict[str, object]:
    """Return the descriptive attributes of a node.

    Args:
        node: Its other attributes.

    Returns:
        `operation`, its name; `kernel`, `stride` and `dilation`, tuples with a number for each
        spatial dimension, None where there is no window; `filters`, the number of its `channels`;
        `tasks`, the tasks that it serves.
    """
    windows = dict.fromkeys(("kernel", "stride", "dilation"))
    return {
        "operation": node["op"],
        **windows,
        **_windows(node),
        "filters": len(node["channels"]),
        "tasks": tuple(node["group"]),
    }


def _windows(node: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the sizes of the window of a convolution or pooling."""
    settings = node.get("settings", {})
    weight = node.get("params", {}).get("weight")
    convolution = node["op"].startswith("conv") and weight is not None
    kernel = weight["shape"][2:] if convolution else settings.get("kernel_size")
    if not (convolution or "pool" in node["op"]) or kernel is None:
        return {}
    dims = len(kernel) if isinstance(kernel, list) else max(len(node["shape"]) - 1, 1)
    stride = settings.get("stride") or (1 if convolution else kernel)
    found = {"kernel": kernel, "stride": stride, "dilation": settings.get("dilation") or 1}
    return {key: _each(value, dims) for key, value in found.items()}


def _each(value: object, dims: int) -> tuple[int, ...]:
    if isinstance(value, list):
        return tuple(value) * dims if len(value) == 1 else tuple(value)
    return (value,) * dims if isinstance(value, int) else ()


def annotate(graph: nx.DiGraph[str]) -> None:
    """Give every node its descriptive attributes, in place of any that it has."""
    for _, node in graph.nodes(data=True):
        node.update(description(node))


def described(node: Mapping[str, Any]) -> dict[str, str | int]:
    """Return the description as text and numbers, for formats without lists.

    Args:
        node: A node; an empty one gives the keys alone.
    """
    if not node:
        return dict.fromkeys((*DESCRIPTIVE, "output"), "")
    found = description(node)
    flat: dict[str, str | int] = {}
    for key, value in found.items():
        if isinstance(value, tuple):
            flat[key] = "+".join(value) if key == "tasks" else "x".join(map(str, value))
        else:
            flat[key] = value if isinstance(value, int) else str(value or "")
    return flat | {"output": "x".join(map(str, node["shape"]))}
