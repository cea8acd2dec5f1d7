"""Tables of benchmarks are written row by row, and what is in them is not run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scripts import load_script


def test_rows_are_kept_and_known_again(tmp_path: Path) -> None:
    module = load_script("benchmarks/rows.py")
    path = tmp_path / "new/table.csv"
    table = module.Table(path)
    assert {"seed": 0} not in table
    table.add({"kind": "a", "seed": 0, "weight": 0.1})
    table.add({"kind": "b", "seed": 0}, {"kind": "b", "seed": 1})
    again = module.Table(path)
    assert {"kind": "a", "seed": 0, "weight": 0.1} in again
    assert {"kind": "b", "seed": 1} in again
    assert {"kind": "a", "seed": 1} not in again
    assert {"kind": "b", "weight": 0.1} not in again
    assert again.frame().equals(module.Table(path).frame())
    assert again.frame()["seed"].tolist() == [0, 0, 1]


def test_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_script("benchmarks/rows.py")
    monkeypatch.setattr("sys.argv", ["x.py", "a.yaml", "b.csv"])
    assert module.study_table_and_seeds(range(3, 5)).seeds == [3, 4]
    monkeypatch.setattr("sys.argv", ["x.py", "a.yaml", "b.csv", "7", "9"])
    given = module.study_table_and_seeds(range(3, 5))
    assert (given.study, given.table, given.seeds) == (Path("a.yaml"), Path("b.csv"), [7, 9])
