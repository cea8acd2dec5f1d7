"""Every planted fault is found."""

from __future__ import annotations

import copy
import re
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
    return distill(found, random_allocation(found, 3)).graph.copy()


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


def renamed(graph: nx.DiGraph[str]) -> None:
    graph.nodes[bank(graph)]["operands"] = ["self"]


def stray(graph: nx.DiGraph[str]) -> None:
    node = graph.nodes[bank(graph)]
    node["params"]["scale"] = node["params"]["weight"]


def heavy(graph: nx.DiGraph[str]) -> None:
    graph.nodes[bank(graph)]["params"]["weight"]["shape"] = [2**15, 2**15, 1, 1]


def twice(graph: nx.DiGraph[str]) -> None:
    node = graph.nodes[bank(graph)]
    node["channels"] = [node["channels"][0]] * len(node["channels"])


def in_two_groups(graph: nx.DiGraph[str]) -> None:
    layer = graph.nodes[bank(graph)]["layer"]
    one, other = [n for n in sorted(graph) if graph.nodes[n]["layer"] == layer][:2]
    channels = graph.nodes[other]["channels"]
    graph.nodes[one]["channels"][0] = channels[0]


def second_node(graph: nx.DiGraph[str]) -> None:
    name = bank(graph)
    graph.add_node("second", **copy.deepcopy(graph.nodes[name]))
    for source in graph.predecessors(name):
        graph.add_edge(source, "second", **copy.deepcopy(graph.edges[source, name]))


def edge_count(graph: nx.DiGraph[str]) -> None:
    source, target = min(graph.edges)
    graph.edges[source, target]["channels"] += 1


def missing_edge(graph: nx.DiGraph[str]) -> None:
    name = bank(graph)
    graph.remove_edge(next(iter(graph.predecessors(name))), name)


def same_slot(graph: nx.DiGraph[str]) -> None:
    name = next(n for n in sorted(graph) if graph.in_degree(n) > 1)
    for source in graph.predecessors(name):
        graph.edges[source, name]["slots"] = [[0, 0]]


def third_operand(graph: nx.DiGraph[str]) -> None:
    name = bank(graph)
    graph.edges[next(iter(graph.predecessors(name))), name]["slots"] += [[2, 0]]


def unknown_task(graph: nx.DiGraph[str]) -> None:
    graph.nodes[bank(graph)]["group"] = ["height"]


def axis(graph: nx.DiGraph[str]) -> None:
    graph.nodes[bank(graph)]["axis"] = 7


def weight(graph: nx.DiGraph[str]) -> None:
    graph.nodes[bank(graph)]["params"]["weight"]["shape"][1] += 1


def two_outputs(graph: nx.DiGraph[str]) -> None:
    name = next(n for n in graph if graph.nodes[n]["op"] == "output")
    graph.add_node("second", **copy.deepcopy(graph.nodes[name]))
    (source,) = graph.predecessors(name)
    graph.add_edge(source, "second", **copy.deepcopy(graph.edges[source, name]))


def group_of_none(graph: nx.DiGraph[str]) -> None:
    graph.graph["groups"].append([])


def first_bank(graph: nx.DiGraph[str]) -> str:
    return min(n for n in graph if graph.nodes[n]["op"] == "conv2d")


@pytest.mark.parametrize(
    ("plant", "word"),
    [
        (places, "gives"),
        (strided, "gives"),
        (twice, "listed twice"),
        (in_two_groups, "in one group"),
        (second_node, "one node for each group"),
        (edge_count, "its channels are those of"),
        (missing_edge, "numbered from 0"),
        (same_slot, "two edges take the slot"),
        (third_operand, "operands are 0 to 0"),
        (unknown_task, "height"),
        (axis, "channel axis 7"),
        (weight, "params.weight fits"),
        (two_outputs, "each task has one output"),
        (group_of_none, "a group is made of the tasks"),
        (kernel, "kernel_size"),
        (grouped, "groups"),
        (stray, "not those of a filter bank"),
        (renamed, "some of ['input', 'weight', 'bias']"),
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
    broken = Architecture(graph).graph.copy()
    plant(broken)
    faults = Architecture(broken).lint()
    assert any(word in fault for fault in faults), faults
    for fault in faults:  # where, the rule, what was found, what to do
        assert re.fullmatch(r"(`.+`|the graph|edge `.+` to `.+`): .+; found .+; .+", fault), fault
    with pytest.raises(ArchitectureError, match="lint"):
        Architecture(nx.DiGraph(broken)).checked()
