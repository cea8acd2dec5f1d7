from __future__ import annotations

import json
from pathlib import Path

from sfg_nas.report import verdict_of
from sfg_nas.study import Run
from tests.cli.conftest import Call


def test_report_lies_in_the_run(call: Call, runs: Path) -> None:
    answer = call("report", "small", "--runs", runs)
    assert answer.code == 0
    path = runs / "small" / "report.html"
    assert answer.out.strip() == str(path)
    assert answer.err == f"{verdict_of(Run.load(runs / 'small')).headline}\n"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "<svg" in text


def test_elsewhere_and_as_json(call: Call, runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    answer = call("report", runs / "small", "--to", path, "--json")
    assert json.loads(answer.out) == {"written": str(path)}
    assert path.is_file()


def test_wrong_input(call: Call, runs: Path, tmp_path: Path) -> None:
    assert call("report", "nothing", "--runs", runs).code == 2
    for to in (tmp_path, tmp_path / "no" / "such.html"):
        answer = call("report", "small", "--runs", runs, "--to", to)
        assert answer.code == 2
        assert "--to" in answer.err
