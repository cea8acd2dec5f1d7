from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from sfg_nas.errors import TrainingError
from sfg_nas.training import read_rows, write_atomically, write_json, write_rows, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.txt"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [item.name for item in path.parent.iterdir()] == ["x.txt"]


def test_json_refuses_numbers_that_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_rows_come_back_exactly(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": 1e-17, "late": 5.0}]
    write_rows(tmp_path / "m.csv", rows)
    frame = pd.read_csv(tmp_path / "m.csv")
    assert frame["loss"].tolist() == [0.1 + 0.2, 1e-17]
    assert frame["late"].isna().tolist() == [True, False]
    assert read_rows(tmp_path / "m.csv") == rows


def test_damaged_rows_are_named(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("epoch,loss\n1,high\n")
    with pytest.raises(TrainingError, match="could not convert"):
        read_rows(tmp_path / "m.csv")
