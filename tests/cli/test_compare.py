"""`compare` as a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

Call = Callable[..., object]


def test_compare_prints_the_page_and_goes_on(call: Call, study: Path, tmp_path: Path) -> None:
    study.write_text(study.read_text() + "compare: {equal_macs: false}\n")
    options = ["--runs", tmp_path, "--seeds", "2", "--methods", "constant-mask", "--device", "cpu"]
    answer = call("compare", study, *options)
    assert answer.code == 0, answer.err
    assert "## Verdict" in answer.out
    assert "training constant-mask" in answer.err
    for name in ("compare.csv", "compare_paired.csv", "compare.md", "compare.tex", "compare.svg"):
        assert (tmp_path / "small" / name).exists()
    again = call("compare", study, *options, "--json")
    assert again.code == 0
    said = json.loads(again.out)
    assert {row["method"] for row in said["networks"]} >= {"single-task", "constant-mask"}
    assert "epoch" not in again.err


def test_wrong_names_are_said_at_once(call: Call, study: Path, tmp_path: Path) -> None:
    answer = call("compare", study, "--methods", "cross-stich", "--runs", tmp_path)
    assert answer.code == 2
    assert "did you mean `cross-stitch`" in answer.err
    study.write_text(study.read_text() + "compare: {seedz: 3}\n")
    answer = call("compare", study, "--runs", tmp_path)
    assert answer.code == 2
    assert "did you mean `seeds`" in answer.err
    assert "Traceback" not in answer.err


def test_the_methods_are_listed(call: Call) -> None:
    answer = call("list", "baselines", "--json")
    names = {row["name"] for row in json.loads(answer.out)}
    assert {"cross-stitch", "constant-p", "found", "tree-split"} <= names
