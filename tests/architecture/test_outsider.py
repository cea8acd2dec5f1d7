"""Graphs edited with networkx alone, by someone who knows the files and not the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import torch

from sfg_nas.architecture import Architecture
from sfg_nas.errors import ArchitectureError
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import Supernet
from tests.architecture.test_edit import supernet_of

MOVED = 10


def thirds(supernet: Supernet) -> torch.Tensor:
    """Return an allocation in which one filter of four serves each task and two both."""
    return torch.tensor([0, 2, 1, 2]).repeat(supernet.wiring.variables)[: supernet.wiring.variables]


def original(kind: str) -> Architecture:
    supernet = supernet_of(kind)
    return distill(supernet, supernet.wiring.allocation(thirds(supernet)))


# --- what the file holds, as plain values: GraphML has JSON text, the JSON file has ranges as text


def indices(text: str) -> list[int]:
    ends = [run.split("-") for run in text.split(",")]
    return [i for run in ends for i in range(int(run[0]), int(run[-1]) + 1)]


def from_graphml(path: Path) -> nx.DiGraph[str]:
    graph = nx.read_graphml(path)
    plain: nx.DiGraph[str] = nx.DiGraph(**{k: json.loads(v) for k, v in graph.graph.items() if v})
    said = {"operation", "kernel", "stride", "dilation", "filters", "tasks", "output"}
    for name, node in graph.nodes(data=True):
        plain.add_node(name, **{k: json.loads(v) for k, v in node.items() if k not in said})
        plain.nodes[name]["channels"] = indices(plain.nodes[name]["channels"])
    for source, target, edge in graph.edges(data=True):
        plain.add_edge(source, target, **{k: json.loads(v) for k, v in edge.items() if k != "id"})
    return plain


def to_graphml(graph: nx.DiGraph[str], path: Path) -> None:
    written: nx.DiGraph[str] = nx.DiGraph(**{k: json.dumps(v) for k, v in graph.graph.items()})
    for name, node in graph.nodes(data=True):
        written.add_node(name, **{k: json.dumps(v) for k, v in node.items()})
    for source, target, edge in graph.edges(data=True):
        written.add_edge(source, target, **{k: json.dumps(v) for k, v in edge.items()})
    nx.write_graphml(written, path)


def from_json(path: Path) -> nx.DiGraph[str]:
    content = json.loads(path.read_text())
    graph: nx.DiGraph[str] = nx.DiGraph(
        **{k: v for k, v in content.items() if k not in ("nodes", "edges")}
    )
    for name, node in content["nodes"].items():
        graph.add_node(name, **{**node, "channels": indices(node["channels"])})
    for edge in content["edges"]:
        graph.add_edge(edge["from"], edge["to"], slots=edge["slots"], channels=edge["channels"])
    return graph


def to_json(graph: nx.DiGraph[str], path: Path) -> None:
    edges = [{"from": u, "to": v, **edge} for u, v, edge in graph.edges(data=True)]
    nodes = dict(graph.nodes(data=True))
    path.write_text(json.dumps({**graph.graph, "nodes": nodes, "edges": edges}))


FORMATS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "graphml": (from_graphml, to_graphml),
    "json": (from_json, to_json),
}


def move(graph: nx.DiGraph[str], layer: str, shared: list[str], task: str) -> None:
    """Move ten filters of a layer from all tasks to one, by what docs/architecture.md says."""
    source = next(
        n for n, d in graph.nodes(data=True) if d["layer"] == layer and d["group"] == shared
    )
    moved = graph.nodes[source]["channels"][:MOVED]
    line = [source]  # the norms, activations and pooling that pass the filters on
    for name in line:
        line += [
            n for n in graph.successors(name)
            if graph.nodes[n]["group"] == shared
            and not graph.nodes[n]["op"].startswith(("conv", "linear"))
        ]  # fmt: skip
    for name in line:
        node = graph.nodes[name]
        other = next(
            d for _, d in graph.nodes(data=True)
            if d["layer"] == node["layer"] and d["group"] == [task]
        )  # fmt: skip
        resize(node, [c for c in node["channels"] if c not in moved])
        resize(other, sorted(other["channels"] + moved))
    for name, node in graph.nodes(data=True):
        for reader in graph.successors(name):
            graph.edges[name, reader]["channels"] = len(node["channels"])
    for name, node in graph.nodes(data=True):
        if node["op"] in ("conv2d", "linear"):
            read = graph.predecessors(name)
            node["params"]["weight"]["shape"][1] = sum(
                len(graph.nodes[n]["channels"]) for n in read
            )


def resize(node: dict[str, Any], channels: list[int]) -> None:
    node["channels"] = channels
    node["shape"][node["axis"] - 1] = len(channels)
    for name, record in node["params"].items():
        if node["op"] == "conv2d" and name == "weight":
            record["shape"][0] = len(channels)
        elif record["axis"] is not None:
            record["shape"][record["axis"]] = len(channels)


@pytest.mark.parametrize("form", FORMATS)
def test_ten_filters_moved_by_hand_load_lint_build_and_run(form: str, tmp_path: Path) -> None:
    supernet = supernet_of("vgg11")
    chosen = thirds(supernet)
    before = distill(supernet, supernet.wiring.allocation(chosen))
    path = tmp_path / f"architecture.{form}"
    before.to_graphml(path) if form == "graphml" else before.save(path)
    read, write = FORMATS[form]
    graph = read(path)
    layer = supernet.wiring.reading[1]
    move(graph, layer.ops[0], ["age", "gender"], "age")
    write(graph, path)

    after = Architecture.load(path)
    assert after.lint() == []
    rows = layer.filters
    ours = chosen.clone()
    shared = [row for row in rows.tolist() if chosen[row] == 2][:MOVED]
    ours[shared] = 0
    assert after == distill(supernet, supernet.wiring.allocation(ours))
    assert after != before
    network = build_network(after, weights=supernet).eval()
    images = torch.rand(3, 3, 16, 16)
    with torch.no_grad():
        found = network(images)
        expected = supernet.harden(supernet.wiring.allocation(ours)).eval()(images)
    for task in ("age", "gender"):
        torch.testing.assert_close(found[task], expected[task])


@pytest.mark.parametrize("form", FORMATS)
def test_an_edit_that_stops_halfway_is_told_what_is_missing(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"architecture.{form}"
    read, write = FORMATS[form]
    before = original("vgg11")
    before.to_graphml(path) if form == "graphml" else before.save(path)
    graph = read(path)
    name = next(
        n for n in sorted(graph) if n.endswith("@age+gender") and "conv" in graph.nodes[n]["op"]
    )
    graph.nodes[name]["channels"] = graph.nodes[name]["channels"][MOVED:]
    write(graph, path)
    with pytest.raises(
        ArchitectureError, match=r"the shape has a place for each channel"
    ) as caught:
        Architecture.load(path)
    assert str(path) in str(caught.value)
    assert name in str(caught.value)
