from __future__ import annotations

import json

import pytest

from sfg_nas.cli.options import Common
from sfg_nas.cli.output import cell, json_result, note, table


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


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    json_result({"a": float("nan"), "b": [float("inf"), 1.5]})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5]}


def test_quiet_means_no_notes(capsys: pytest.CaptureFixture[str]) -> None:
    note("x", Common(quiet=True))
    note("y", Common())
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "y\n")
