"""The commands that a comparison's tables come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sfg_nas.compare import compare
from sfg_nas.compare.calls import FILE, python_call, remember
from sfg_nas.errors import ArchitectureError
from sfg_nas.study import RunFiles, Study

Make = Callable[..., Study]


def test_a_call_from_python_in_words() -> None:
    assert python_call(None, None) == "compare(study)"
    assert python_call(("found", "nddr"), 3) == "compare(study, methods=['found', 'nddr'], seeds=3)"


def test_the_last_call_of_each_method_that_stays_is_told(tmp_path: Path) -> None:
    files, always = RunFiles(tmp_path), {"single-task"}
    assert remember(files, "first", {"nddr", "found"} | always, ()) == ["first"]
    assert remember(files, "second", {"found", "thirds"} | always, {"nddr"}) == ["first", "second"]
    assert remember(files, "third", always, {"found", "thirds"}) == ["second", "third"]
    assert remember(files, "third", always, {"nddr", "thirds"}) == ["first", "second", "third"]
    assert remember(files, "first", {"nddr", "found"} | always, {"thirds"}) == ["second", "first"]
    (tmp_path / "compared" / FILE).write_text('{"calls": [{"command": 1, "methods": []}]}')
    with pytest.raises(ArchitectureError, match="the calls of a comparison"):
        remember(files, "fourth", always, ())


def test_the_page_tells_every_call(make_study: Make, tmp_path: Path) -> None:
    study = make_study({"compare.equal_macs": False})
    compare(study, ["nddr"], 1, runs=tmp_path)
    found = compare(study, [], 1, runs=tmp_path, command="sfg-nas compare x.yaml")
    text = (found.folder / "compare.md").read_text()
    calls = "compare(study, methods=['nddr'], seeds=1)\nsfg-nas compare x.yaml\n"
    assert f"## How to reproduce\n\n```sh\n{calls}```\n" in text
    assert text.index("## How to reproduce") < text.index("## Verdict")
