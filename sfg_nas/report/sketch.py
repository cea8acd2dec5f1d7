"""What a drawing shows of an architecture: filter banks, joins, and what flows between them.

An architecture has a node for every operation of every group, far more than a reader can take in.
Here norms, activations, poolings and everything else with one source are counted to the layer
whose features they change; what has several sources stays as a small join.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import networkx as nx

from sfg_nas.architecture import Architecture

Kind = Literal["input", "filters", "join", "output"]

_JOIN_SIGNS = {"add": "+", "sub": "−", "mul": "×", "div": "÷"}
_FILTERS = ("conv", "linear")


@dataclass(frozen=True)
class Block:
    """One thing to draw.

    Attributes:
        name: The node of the architecture that stands for it.
        kind: Filters read and make features; a join only brings some together.
        layer: Module path in the user's network.
        group: The tasks it belongs to, in the order of the tasks.
        channels: How many channels come out.
        label: What it does, in a few characters: `3x3`, `3x3 /2`, `fc`, `+`, or a task's name.
        side: Height and width (and depth) of the feature map in pixels; empty for vectors.
        column: Place from left to right; blocks of one layer share it.
    """

    name: str
    kind: Kind
    layer: str
    group: tuple[str, ...]
    channels: int
    label: str
    side: tuple[int, ...]
    column: int


@dataclass(frozen=True)
class Flow:
    """Features of one block that another reads.

    Attributes:
        source: Name of the block that makes them.
        target: Name of the block that reads them.
        channels: How many channels flow.
    """

    source: str
    target: str
    channels: int


@dataclass(frozen=True)
class Sketch:
    """The blocks of an architecture by name, in order, and the flows between them."""

    blocks: dict[str, Block]
    flows: tuple[Flow, ...]


def sketch(architecture: Architecture) -> Sketch:
    """Return what to draw of an architecture."""
    home: dict[str, str] = {}
    flows: dict[tuple[str, str], int] = {}
    for name in architecture.in_order():
        sources = dict.fromkeys(home[s] for s in architecture.graph.predecessors(name))
        stays = _stays(architecture.node(name)["op"])
        if not stays and len(sources) == 1:
            home[name] = next(iter(sources))
            continue
        home[name] = name
        for source, _, data in architecture.graph.in_edges(name, data=True):
            key = (home[source], name)
            most = len(architecture.node(home[source])["channels"])
            flows[key] = min(flows.get(key, 0) + int(data["channels"]), most)
    names = [name for name in architecture.in_order() if home[name] == name]
    columns = _columns(architecture, names, list(flows))
    blocks = {name: _block(architecture, name, columns[name]) for name in names}
    return Sketch(blocks, tuple(Flow(u, v, channels) for (u, v), channels in flows.items()))


def _stays(op: str) -> bool:
    return op in ("input", "output", "constant") or op.startswith(_FILTERS)


def _columns(
    architecture: Architecture, names: list[str], edges: list[tuple[str, str]]
) -> dict[str, int]:
    """Return each block's place: the longest way from the input, counted in layers."""
    layers = {n: (architecture.node(n)["layer"], architecture.node(n)["order"]) for n in names}
    of_layer: nx.DiGraph[tuple[str, int]] = nx.DiGraph()
    of_layer.add_nodes_from(layers.values())
    of_layer.add_edges_from((layers[u], layers[v]) for u, v in edges)
    depth: dict[tuple[str, int], int] = {}
    for layer in nx.topological_sort(of_layer):
        depth[layer] = max((depth[s] + 1 for s in of_layer.predecessors(layer)), default=0)
    last = max(depth.values(), default=0)
    ends = {n for n in names if architecture.node(n)["op"] == "output"}
    return {n: last if n in ends else depth[layers[n]] for n in names}


def _block(architecture: Architecture, name: str, column: int) -> Block:
    node = architecture.node(name)
    group = tuple(task for task in architecture.tasks if task in node["group"])
    op = node["op"]
    kind: Kind = "filters"
    if op == "input":
        kind, label, group = "input", "input", architecture.tasks
    elif op == "output":
        kind, label = "output", group[0]
    elif op.startswith("linear"):
        label = "fc"
    elif op.startswith("conv"):
        label = _convolution(architecture, name)
    else:
        kind, label = "join", _JOIN_SIGNS.get(op.partition(".")[0], "")
    side = tuple(node["shape"][1:])
    return Block(
        name,
        kind,
        node["layer"],
        group,
        len(node["channels"]) or node["shape"][0],
        label,
        side,
        column,
    )


def _convolution(architecture: Architecture, name: str) -> str:
    node = architecture.node(name)
    kernel = node["params"]["weight"]["shape"][2:]
    label = "×".join(str(k) for k in kernel)
    stride = node["settings"].get("stride")
    step = stride[0] if isinstance(stride, list) and stride else stride
    if isinstance(step, int) and step > 1:
        label += f" ×{step}" if node["op"].startswith("conv_transpose") else f" /{step}"
    return label
