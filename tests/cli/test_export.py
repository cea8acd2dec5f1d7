from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import pytest
import torch
from PIL import Image

from sfg_nas.architecture import Architecture
from sfg_nas.cli.export import DESCRIPTIONS, NETWORK_FORMATS
from sfg_nas.cost import count_macs, count_params
from sfg_nas.fixed import EXPORTERS, build_network

ALL = "json,graphml,dot,png,svg"


def test_all_formats_of_the_best_trial(call: Callable, runs: Path, tmp_path: Path) -> None:
    answer = call("export", runs / "small", "--to", tmp_path, "--format", ALL, "--json")
    assert answer.code == 0
    written = [Path(path) for path in json.loads(answer.out)["written"]]
    assert [path.suffix[1:] for path in written] == ALL.split(",")
    architecture = Architecture.load(tmp_path / "architecture.json")
    graph = nx.read_graphml(tmp_path / "architecture.graphml")
    assert graph.number_of_nodes() == architecture.graph.number_of_nodes()
    with Image.open(tmp_path / "architecture.png") as image:
        assert min(image.size) > 100
    assert "<svg" in (tmp_path / "architecture.svg").read_text()
    assert (tmp_path / "architecture.dot").read_text().startswith("digraph")


def test_an_exported_file_can_be_exported_again(call: Callable, runs: Path, tmp_path: Path) -> None:
    call("export", runs / "small", "--to", tmp_path / "a", "--format", "json,graphml")
    for name in ("architecture.json", "architecture.graphml"):
        answer = call("export", tmp_path / "a" / name, "--to", tmp_path / name, "--format", "json")
        assert answer.code == 0
        again = Architecture.load(tmp_path / name / "architecture.json")
        assert again.hash == Architecture.load(tmp_path / "a/architecture.json").hash


def test_a_trial_by_number_and_the_front(call: Callable, runs: Path, tmp_path: Path) -> None:
    call("export", runs / "small", "--to", tmp_path / "one", "--trial", "1", "--format", "json")
    found = Architecture.load(tmp_path / "one/architecture.json")
    assert found.hash == Architecture.load(runs / "small/trials/1/architecture.json").hash
    answer = call(
        "export", runs / "small", "--to", tmp_path, "--trial", "pareto", "--format", "json"
    )
    assert answer.code == 0
    assert list(tmp_path.glob("trial-*/architecture.json"))


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--format", "jsn"], "did you mean `json`"),
        (["--format", "xyz"], "the formats here are dot, graphml, json, onnx, png, pt2, py"),
        (
            ["--format", "py", "--weights", "none.safetensors"],
            "found none.safetensors, which is no such",
        ),
        (["--format", ","], "separated by commas"),
        (["--trial", "7"], "the complete trials here are 0, 1"),
        (["--trial", "worst"], "`best`, `pareto` or the number"),
    ],
)
def test_bad_arguments(
    call: Callable, runs: Path, tmp_path: Path, arguments: list[str], part: str
) -> None:
    answer = call("export", runs / "small", "--to", tmp_path / "x", *arguments)
    assert answer.code == 2
    assert part in answer.err
    assert not (tmp_path / "x").exists()


def test_files_that_are_no_architecture(call: Callable, tmp_path: Path) -> None:
    for name, text in [("a.json", "{"), ("b.json", "{}"), ("c.graphml", "<x/>"), ("d.json", "[1]")]:
        (tmp_path / name).write_text(text)
        answer = call("export", tmp_path / name, "--to", tmp_path / "x", "--format", "json")
        assert answer.code == 2, name
        assert "Traceback" not in answer.err
    assert call("export", tmp_path / "none.json", "--to", tmp_path / "x").code == 2


def test_a_file_where_a_folder_is_needed(call: Callable, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    answer = call("export", runs / "small", "--to", tmp_path / "x", "--format", "json")
    assert answer.code == 2
    assert "a folder is needed" in answer.err


def test_all_formats_are_known_by_name() -> None:
    assert set(EXPORTERS) == set(NETWORK_FORMATS)
    assert not set(DESCRIPTIONS) & set(NETWORK_FORMATS)


def test_networks_with_the_weights_that_were_asked_for(
    call: Callable, runs: Path, tmp_path: Path
) -> None:
    architecture = Architecture.load(runs / "small/trials/0/architecture.json")
    seed = runs / "small/retrained"
    images = torch.rand(3, *architecture.input_shape)
    found = {}
    for weights in ("supernet", "retrained"):
        best = json.loads(call("status", runs / "small", "--json").out)["best"]["number"]
        to = tmp_path / weights
        arguments = ["--format", "py,pt2", "--weights", weights, "--trial", best]
        answer = call("export", runs / "small", "--to", to, *map(str, arguments))
        assert answer.code == 0, answer.err
        assert "weights: " in answer.err
        found[weights] = torch.export.load(to / "network.pt2").module()(images)
    assert any(
        not torch.equal(found["supernet"][task], found["retrained"][task])
        for task in architecture.tasks
    )
    (beside, *_) = seed.glob("*/0/prediction.json")
    exported = tmp_path / "retrained/prediction.json"
    assert json.loads(exported.read_text()) == json.loads(beside.read_text())
    assert not (tmp_path / "supernet/prediction.json").exists()


def test_a_folder_of_a_network_and_an_architecture_alone(
    call: Callable, runs: Path, tmp_path: Path
) -> None:
    folder = next((runs / "small/retrained").glob("*/0/architecture.json")).parent
    answer = call("export", folder, "--to", tmp_path / "a", "--format", "safetensors")
    assert answer.code == 0
    assert str(folder) in answer.err
    (tmp_path / "b").mkdir()
    lone = tmp_path / "b/architecture.json"
    lone.write_bytes((folder / "architecture.json").read_bytes())
    answer = call("export", lone, "--to", tmp_path / "c", "--format", "py")
    assert "fresh, not trained" in answer.err
    assert (tmp_path / "c/network.safetensors").is_file()
    answer = call("export", lone, "--to", tmp_path / "d", "--weights", "retrained")
    assert answer.code == 2
    damaged = folder.parent / "damaged"
    damaged.mkdir()
    (damaged / "architecture.json").write_bytes((folder / "architecture.json").read_bytes())
    (damaged / "network.safetensors").write_bytes(b"no tensors")
    answer = call("export", damaged, "--to", tmp_path / "d", "--format", "py")
    assert (answer.code, "safetensors file is needed" in answer.err) == (2, True)
    for path in damaged.iterdir():
        path.unlink()
    damaged.rmdir()


def test_costs_are_those_of_the_networks(call: Callable, runs: Path, tmp_path: Path) -> None:
    answer = call(
        "export", runs / "small", "--to", tmp_path, "--format", "json", "--latency", "--json",
        "--device", "cpu",
    )  # fmt: skip
    costs = {row["tasks"]: row for row in json.loads(answer.out)["costs"]}
    architecture = Architecture.load(tmp_path / "architecture.json")
    assert list(costs) == ["all", *architecture.tasks]
    images = torch.zeros(1, *architecture.input_shape)
    for name, row in costs.items():
        network = build_network(architecture if name == "all" else architecture.only(name))
        assert (row["macs"], row["params"]) == (count_macs(network, images), count_params(network))
        assert row["milliseconds"] > 0
        assert (row["device"], row["batch"]) == ("cpu", 1)
    text = call("export", runs / "small", "--to", tmp_path, "--format", "json").out
    assert "cost of one image" in text
