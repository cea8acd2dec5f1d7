"""The commands that a comparison's tables come from."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from sfg_nas.compare import calls, compare
from sfg_nas.compare.calls import FILE, python_call
from sfg_nas.config import CompareConfig, CrossStitchConfig
from sfg_nas.errors import ArchitectureError
from sfg_nas.study import RunFiles, Study

Make = Callable[..., Study]


def test_a_call_from_python_in_words() -> None:
    assert python_call(None, None) == "compare(study)"
    assert python_call(("found", "nddr"), 3) == "compare(study, methods=['found', 'nddr'], seeds=3)"


def test_the_last_call_of_each_method_that_stays_is_told(tmp_path: Path) -> None:
    files, always, section = RunFiles(tmp_path), {"single-task"}, CompareConfig()
    remember = partial(calls.remember, section=section)
    assert remember(files, "first", {"nddr", "found"} | always, ()) == ["first"]
    assert remember(files, "second", {"found", "thirds"} | always, {"nddr"}) == ["first", "second"]
    assert remember(files, "third", always, {"found", "thirds"}) == ["second", "third"]
    assert remember(files, "third", always, {"nddr", "thirds"}) == ["first", "second", "third"]
    assert remember(files, "first", {"nddr", "found"} | always, {"thirds"}) == ["second", "first"]
    (tmp_path / "compared" / FILE).write_text('{"calls": [{"command": 1, "methods": []}]}')
    with pytest.raises(ArchitectureError, match="the calls of a comparison"):
        remember(files, "fourth", always, ())


def test_what_an_earlier_call_had_otherwise_stands_behind_it(tmp_path: Path) -> None:
    files = RunFiles(tmp_path)
    first = CompareConfig(methods=("thirds",), seeds=2, widths=(0.3,))
    now = CompareConfig(cross_stitch=CrossStitchConfig(alpha=0.5), trial=3)
    same = "sfg-nas compare x.yaml"  # typed again when the file was changed
    assert calls.remember(files, same, {"thirds"}, (), first) == [same]
    given = f"{same} --methods nddr --seeds 3 --set compare.trial=3 --set compare.draws=10"
    last = CompareConfig(draws=10, trial=3)
    calls.remember(files, given, {"nddr"}, {"thirds"}, last)
    found = calls.remember(files, same, {"found"}, {"thirds", "nddr"}, now)
    was = (
        """--set 'compare.methods=["thirds"]' --set compare.seeds=2 --set 'compare.widths=[0.3]'"""
    )
    alpha = "--set compare.cross_stitch.alpha=0.9"
    trial = """--set 'compare.trial="best"'"""
    assert found == [f"{same} {was} {trial} {alpha}", f"{given} {alpha}", same]
    path = tmp_path / "compared" / FILE
    for other in ("sfg-nas compare y", "sfg-nas compare 'y"):
        path.write_text(json.dumps({"calls": [{"command": other, "methods": ["nddr"]}]}))
        assert calls.remember(files, same, {"found"}, {"nddr"}, now) == [other, same]


def test_the_page_tells_every_call(make_study: Make, tmp_path: Path) -> None:
    study = make_study({"compare.equal_macs": False})
    compare(study, ["nddr"], 1, runs=tmp_path)
    found = compare(study, [], 1, runs=tmp_path, command="sfg-nas compare x.yaml")
    text = (found.folder / "compare.md").read_text()
    told = "compare(study, methods=['nddr'], seeds=1)\nsfg-nas compare x.yaml\n"
    assert f"## How to reproduce\n\n```sh\n{told}```\n" in text
    assert text.index("## How to reproduce") < text.index("## Verdict")
