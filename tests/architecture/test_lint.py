"""Every planted fault is found."""

from __future__ import annotations

import copy
from collections.abc import Callable

import networkx as nx
import pytest

from sfg_nas.architecture import Architecture
from sfg_nas.errors import ArchitectureError
from sfg_nas.fixed import distill
from sfg_nas.sharing import random_allocation
from tests.conversions import pair

Fault = Callable[["nx.DiGraph[str]"], object]


def sound() -> nx.DiGraph[str]:
    """Return a graph that can be changed."""
    found = pair("vgg").connections
    graph = distill(found, random_allocation(found, 3)).graph
    return nx.DiGraph(graph)


def bank(graph: nx.DiGraph[str]) -> str:
    return max(n for n in graph if graph.nodes[n]["op"] == "conv2d")


def cycle(graph: nx.DiGraph[str]) -> None:
    name = bank(graph)
    source = next(iter(graph.predecessors(name)))
    graph.add_edge(name, source, slots=[[0, 0]], channels=1)


def unknown(graph: nx.DiGraph[str]) -> None:
    graph.nodes[bank(graph)]["op"] = "os.system"


def shape(graph: nx.DiGraph[str]) -> None:
    graph.nodes[bank(graph)]["channels"] = [0]


def dead(graph: nx.DiGraph[str]) -> None:
    output = next(n for n in graph if graph.nodes[n]["op"] == "output")
    graph.remove_node(output)


def unfed(graph: nx.DiGraph[str]) -> None:
    graph.remove_node(next(n for n in graph if graph.nodes[n]["op"] == "input"))


def foreign(graph: nx.DiGraph[str]) -> None:
    name = next(
        n
        for n in graph
        if len(graph.nodes[n]["group"]) == len(graph.graph["tasks"])
        and graph.nodes[n]["op"] == "conv2d"
        and "input" not in "".join(graph.predecessors(n))
    )
    for source in list(graph.predecessors(name)):
        graph.nodes[source]["group"] = graph.graph["tasks"][:1]


def places(graph: nx.DiGraph[str]) -> None:
    graph.nodes[bank(graph)]["shape"][1] += 1


def strided(graph: nx.DiGraph[str]) -> None:
    graph.nodes[first_bank(graph)]["settings"]["stride"] = [2, 2]


def kernel(graph: nx.DiGraph[str]) -> None:
    graph.nodes[bank(graph)]["settings"]["kernel_size"] = [5, 5]


def grouped(graph: nx.DiGraph[str]) -> None:
    graph.nodes[bank(graph)]["settings"]["groups"] = 0


def stray(graph: nx.DiGraph[str]) -> None:
    node = graph.nodes[bank(graph)]
    node["params"]["scale"] = node["params"]["weight"]


def heavy(graph: nx.DiGraph[str]) -> None:
    graph.nodes[bank(graph)]["params"]["weight"]["shape"] = [2**15, 2**15, 1, 1]


def first_bank(graph: nx.DiGraph[str]) -> str:
    return min(n for n in graph if graph.nodes[n]["op"] == "conv2d")


@pytest.mark.parametrize(
    ("plant", "word"),
    [
        (places, "gives"),
        (strided, "gives"),
        (kernel, "kernel_size"),
        (grouped, "groups"),
        (stray, "not those of a filter bank"),
        (heavy, "more than"),
        (cycle, "cycle"),
        (unknown, "unknown operation"),
        (shape, "channels"),
        (dead, "dead"),
        (unfed, "not fed"),
        (foreign, "which serves only"),
    ],
)
def test_a_planted_fault_is_found(plant: Fault, word: str) -> None:
    graph = sound()
    assert Architecture(nx.DiGraph(graph)).lint() == []
    broken = nx.DiGraph(graph)
    for name in broken:
        broken.nodes[name].update(copy.deepcopy(graph.nodes[name]))
    plant(broken)
    faults = Architecture(broken).lint()
    assert any(word in fault for fault in faults), faults
    with pytest.raises(ArchitectureError, match="lint"):
        Architecture(nx.DiGraph(broken)).checked()
