"""What a person, or another program, reads off a node: plain words and numbers.

These attributes only describe. They are written anew for every architecture that lacks them, are in
no JSON file, and `lint()` proves that they agree with what the network is built from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    windows = {key: None for key in ("kernel", "stride", "dilation")}
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
    """Give every node the descriptive attributes that it lacks."""
    for _, node in graph.nodes(data=True):
        if not all(key in node for key in DESCRIPTIVE):
            node.update(description(node) | {k: node[k] for k in DESCRIPTIVE if k in node})


def disagreements(graph: nx.DiGraph[str], name: str) -> Iterator[str]:
    """Yield the descriptive attributes of a node that say something else than the others."""
    node = graph.nodes[name]
    for key, value in description(node).items():
        if key in node and _plain(node[key]) != _plain(value):
            yield f"`{name}`: `{key}` says {node[key]!r}, the other attributes say {value!r}"


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


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
