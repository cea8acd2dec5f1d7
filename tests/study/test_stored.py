from __future__ import annotations

import json
from pathlib import Path

import pytest

from sfg_nas.errors import ArchitectureError
from sfg_nas.study.stored import (
    are_numbers,
    is_count,
    is_number,
    read_object,
    read_state,
    read_table,
)


def test_numbers_are_no_booleans() -> None:
    assert is_number(1.5)
    assert is_count(0)
    assert not is_number(True)
    assert not is_count(-1)
    assert not is_count(True)
    assert not are_numbers({"a": "1"})


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ([], "a list"),
        ({}, "no `a`"),
        ({"a": "x"}, "a wrong value of `a`"),
        ({"a": 1, "b": 2}, "an unknown `b`"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: object, part: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ArchitectureError, match=part):
        read_object(path, what="a thing", keys={"a": is_count, "c": is_count}, optional=["c"])


def test_a_state_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"state": "complete", "values": [1, 2.5], "more": null}')
    assert read_state(path)["values"] == [1, 2.5]
    path.write_text('{"state": "done"}')
    with pytest.raises(ArchitectureError, match="wrong value of `state`"):
        read_state(path)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name,seeds\nfound,2\n", "no column `mean`"),
        ("name,seeds,mean\nfound,-2,0.5\n", "a wrong value in the column `seeds`"),
        ("name,seeds,mean\nfound,,0.5\n", "a wrong value in the column `seeds`"),
        ("name,seeds,mean\nfound,2,half\n", "a wrong value in the column `mean`"),
        ('name,seeds,mean\n"found,2,0.5\n', "EOF inside string"),
    ],
)
def test_damaged_tables_are_named(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(ArchitectureError, match=part):
        read_table(path, what="a table", texts=["name"], numbers=["mean"], counts=["seeds"])


def test_tables_come_back_and_an_empty_one_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("name,mean,more\n1,,a\n2,0.5,\n")
    table = read_table(path, what="a table", texts=["name"], numbers=["mean"])
    assert table["name"].tolist() == ["1", "2"]
    assert table["mean"].isna().tolist() == [True, False]
    path.write_text("\n")
    assert read_table(path, what="a table", numbers=["mean"]).empty
