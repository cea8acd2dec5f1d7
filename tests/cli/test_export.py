from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import pytest
from PIL import Image

from sfg_nas.architecture import Architecture

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
        (["--format", "onnx"], "the formats here are dot, graphml, json, png, svg"),
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
