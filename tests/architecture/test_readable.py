"""What a person reads off a node, in the graph and in GraphML."""

from __future__ import annotations

from pathlib import Path

import networkx as nx

from sfg_nas.architecture import Architecture
from sfg_nas.architecture.readable import DESCRIPTIVE
from sfg_nas.fixed import distill
from sfg_nas.sharing import random_allocation
from tests.conversions import pair


def found(name: str) -> Architecture:
    supernet = pair(name).connections
    return distill(supernet, random_allocation(supernet, 3))


def test_a_convolution_and_a_pooling_say_what_they_are() -> None:
    graph = found("dilated").graph
    node = next(d for _, d in graph.nodes(data=True) if d["layer"] == "0")
    assert {key: node[key] for key in DESCRIPTIVE} == {
        "operation": "conv2d",
        "kernel": (3, 3),
        "stride": (1, 1),
        "dilation": (2, 2),
        "filters": len(node["channels"]),
        "tasks": tuple(node["group"]),
    }
    pool = next(d for _, d in graph.nodes(data=True) if "pool" in d["op"])
    assert (pool["kernel"], pool["stride"], pool["dilation"]) == ((2, 2), (2, 2), (1, 1))
    relu = next(d for _, d in graph.nodes(data=True) if d["op"] == "relu")
    assert relu["kernel"] is None


def test_kernels_have_a_number_for_each_dimension() -> None:
    for name, dims in (("1d", 1), ("vgg", 2), ("3d", 3), ("transposed", 2)):
        nodes = dict(found(name).graph.nodes(data=True)).values()
        kernels = {len(d["kernel"]) for d in nodes if d["op"].startswith("conv")}
        assert kernels == {dims}


def test_the_description_follows_a_change() -> None:
    graph = found("vgg").graph.copy()
    name = next(n for n in graph if graph.nodes[n]["op"] == "conv2d")
    graph.nodes[name]["channels"] = [0, 5]
    graph.nodes[name]["filters"] = 99
    assert Architecture(graph).graph.nodes[name]["filters"] == 2


def test_other_programs_read_words_and_numbers(tmp_path: Path) -> None:
    architecture = found("vgg")
    architecture.to_graphml(tmp_path / "a.graphml")
    plain = nx.read_graphml(tmp_path / "a.graphml")
    name = next(n for n in plain if architecture.node(n)["op"] == "conv2d")
    node = architecture.graph.nodes[name]
    assert plain.nodes[name]["operation"] == "conv2d"
    assert plain.nodes[name]["kernel"] == "3x3"
    assert plain.nodes[name]["filters"] == node["filters"]
    assert plain.nodes[name]["tasks"] == "+".join(node["tasks"])
    assert plain.nodes[name]["output"] == "x".join(map(str, node["shape"]))
