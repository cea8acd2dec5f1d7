from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sfg_nas.cli.options import Common
from sfg_nas.cli.output import cell, json_result, note, quoted, table
from sfg_nas.errors import several


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (None, "", "-"),
        (float("nan"), "", "-"),
        (True, "", "True"),
        (1234567, "macs", "1,234,567"),
        (1234567.0, "macs", "1,234,567"),
        (0.123456, "", "0.1235"),
        (0.123456, "delta", "+0.1235"),
        (-3.7e-17, "delta", "0.0000"),
        ("complete", "", "complete"),
    ],
)
def test_cells(value: object, column: str, text: str) -> None:
    assert cell(value, column) == text


def test_a_table_is_aligned_and_has_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    table([{"a": 1, "b": "long text"}, {"a": 20, "c": 0.5}], title="two rows")
    title, head, *rows = capsys.readouterr().out.splitlines()
    assert title == "two rows"
    assert head.split() == ["a", "b", "c"]
    assert rows[1].split() == ["20", "-", "0.5"]
    assert rows[0].index("long text") == head.index("b")


def test_what_is_too_wide_for_a_terminal_goes_on_below(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    names = [f"column_{i}" for i in range(6)]
    table([{"number": n} | dict.fromkeys(names, 1234567) for n in (7, 8)])
    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
    assert all(len(line) <= 40 for line in lines)
    assert sum(line.split().count("number") for line in lines) == 2  # in front of each part
    words = [word for line in lines for word in line.split()]
    assert all(words.count(name) == 1 for name in names)
    assert words.count("1,234,567") == 12


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    json_result({"a": float("nan"), "b": [float("inf"), 1.5]})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5]}


def test_quiet_means_no_notes(capsys: pytest.CaptureFixture[str]) -> None:
    note("x", Common(quiet=True))
    note("y", Common())
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "y\n")


def test_one_is_singular() -> None:
    assert several(1, "trial") == "1 trial"
    assert several(0, "trial") == "0 trials"
    assert several(1200, "row") == "1,200 rows"


def test_paths_in_commands_can_be_pasted_into_a_shell() -> None:
    assert quoted(Path("runs/small")) == "runs/small"
    assert quoted("my runs/a") == "'my runs/a'"
