"""An architecture is a value: what it was made from, and its copies, share nothing with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfg_nas.architecture import Architecture
from sfg_nas.errors import ArchitectureError
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import random_allocation
from tests.conversions import pair, pair_of, uniform_allocation
from tests.networks import Sample
from tests.properties import faults_of, round_trips, run, same_outputs
from tests.sharing.test_convert import QUICK, SEEDS, samples


def found(name: str = "vgg", seed: int = 3) -> Architecture:
    supernet = pair(name).connections
    return distill(supernet, random_allocation(supernet, seed))


@QUICK
@given(samples(), SEEDS, st.booleans())
def test_files_lose_nothing(
    tmp_path_factory: pytest.TempPathFactory, sample: Sample, seed: int, uniform: bool
) -> None:
    """Equality, hash, lint, costs, and what the network built from the file gives."""
    both = pair_of(sample)
    supernet = both.connections
    draw = uniform_allocation if uniform else random_allocation
    architecture = distill(supernet, draw(supernet, seed))
    folder = tmp_path_factory.mktemp("files")
    if architecture.lint():
        assert faults_of(architecture) == []  # a head that the image does not reach
        with pytest.raises(ArchitectureError, match="not fed by the image"):
            round_trips(architecture, folder)
        return
    round_trips(architecture, folder)
    expected = run(build_network(architecture, weights=supernet), both.x)
    fresh = run(build_network(architecture, seed=5), both.x)
    for name in ("graph.json", "graph.graphml"):
        loaded = Architecture.load(folder / name)
        assert loaded.to_json() == architecture.to_json()
        assert loaded.groups == architecture.groups
        same_outputs(run(build_network(loaded, weights=supernet), both.x), expected, name)
        same_outputs(run(build_network(loaded, seed=5), both.x), fresh, name)


@QUICK
@given(samples(), SEEDS, st.data())
def test_names_of_nodes_do_not_count_but_numbers_do(
    sample: Sample, seed: int, data: st.DataObject
) -> None:
    supernet = pair_of(sample).connections
    architecture = distill(supernet, random_allocation(supernet, seed))
    order = data.draw(st.permutations(sorted(architecture.graph)))
    graph = nx.relabel_nodes(architecture.graph.copy(), {n: f"n{i}" for i, n in enumerate(order)})
    shuffled: nx.DiGraph[str] = nx.DiGraph(**graph.graph)
    shuffled.add_nodes_from((n, graph.nodes[n]) for n in sorted(graph))
    shuffled.add_edges_from(sorted(graph.edges(data=True), reverse=True))
    same = Architecture(shuffled)
    assert same == architecture
    assert hash(same) == hash(architecture)
    assert same.hash == architecture.hash
    assert same.lint() == architecture.lint() == []
    assert (same.macs, same.params) == (architecture.macs, architecture.params)
    other = shuffled.copy()
    key = data.draw(st.sampled_from(["channels", "shape", "order", "edge"]))
    if key == "edge":
        edge = data.draw(st.sampled_from(sorted(other.edges)))
        other.edges[edge]["channels"] = other.edges[edge]["channels"] + 1
    else:
        name = data.draw(st.sampled_from(sorted(other)))
        value = other.nodes[name][key]
        other.nodes[name][key] = value + 1 if key == "order" else [*value[:-1], value[-1] + 1]
    changed = Architecture(other)
    assert changed != architecture
    assert changed.hash != architecture.hash


def test_equality_is_with_architectures_alone() -> None:
    architecture = found()
    assert architecture != architecture.to_json()
    assert len({architecture, found(), found(seed=4)}) == 2


def test_a_copy_may_be_changed_and_the_graph_may_not() -> None:
    architecture = found()
    before = architecture.to_json()
    copy = architecture.graph.copy()
    name = next(iter(copy))
    copy.nodes[name]["channels"].append(99)
    copy.nodes[name]["params"]["more"] = {}
    copy.graph["tasks"].append("more")
    copy.remove_edge(*next(iter(copy.edges)))
    assert architecture.to_json() == before
    with pytest.raises(nx.NetworkXError, match="Frozen"):
        architecture.graph.remove_node(name)
    given = found().graph.copy()
    taken = Architecture(given)
    given.nodes[name]["channels"].append(99)
    given.remove_node(next(n for n in given if n != name))
    assert taken == found()


def test_tuples_and_arrays_are_lists(tmp_path: Path) -> None:
    graph = found().graph.copy()
    for name in graph:
        node = graph.nodes[name]
        node["channels"], node["shape"] = np.array(node["channels"]), tuple(node["shape"])
        node["order"] = np.int64(node["order"])
    architecture = Architecture(graph)
    assert architecture == found()
    assert architecture.lint() == []
    round_trips(architecture, tmp_path)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda g, n: g.nodes[n].pop("shape"), "attributes .* are needed; found no"),
        (lambda g, n: g.nodes[n].update(channels={1, 2}), "channels: list expected"),
        (lambda g, n: g.nodes[n].update(channels=[0.5]), "channels: a list of whole numbers"),
        (lambda g, n: g.nodes[n].update(params={"weight": 3}), "params.weight"),
        (lambda g, n: g.nodes[n].update(settings={"stride": object()}), "plain values"),
        (lambda g, n: g.add_edge(n, min(g)), "slots: pairs"),
        (lambda g, _: g.add_node(7), "names are text"),
        (lambda g, _: g.graph.pop("tasks"), "found no .'tasks'"),
        (lambda g, _: g.graph.update(groups=3), "a list of groups"),
    ],
)
def test_attributes_of_the_wrong_form_are_named(
    change: Callable[[nx.DiGraph[str], str], object], part: str
) -> None:
    graph = found().graph.copy()
    change(graph, max(n for n in graph if graph.nodes[n]["op"] == "conv2d"))
    with pytest.raises(ArchitectureError, match=part) as caught:
        Architecture(graph)
    assert re.fullmatch(r"architecture: .+: .+; found .+; start from a copy .+", str(caught.value))


def test_the_part_of_some_tasks() -> None:
    architecture = found("resnet")
    first, second, *_ = architecture.tasks
    both = architecture.only([second, first])
    assert both.tasks == (first, second)
    assert both.only(first) == architecture.only(first)
    assert both.only(first).tasks == (first,)
    assert both.groups == architecture.groups
    for wrong in ([], ["height"], second):
        with pytest.raises(ArchitectureError, match="some of"):
            architecture.only(first).only(wrong)
