"""Where a command writes is checked before it works."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sfg_nas.cli.targets import check_target
from sfg_nas.errors import ConfigError


def test_what_may_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old.csv").write_text("a\n")
    for name in ("new.csv", "old.csv", "new/folder/p.csv"):
        check_target(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    check_target(Path("new.csv"))
    check_target(Path("old.csv"))


def test_what_lies_in_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("a\n")
    with pytest.raises(
        ConfigError, match=r"^--to: what it lies in must be a folder; found the fil"
    ):
        check_target(tmp_path / "old.csv" / "p.csv")


def test_what_the_system_refuses_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def access(path: Path, mode: int) -> bool:
        return not (path == tmp_path and mode == os.W_OK)

    monkeypatch.setattr(os, "access", access)
    with pytest.raises(ConfigError, match=r"^--pictures: a place that may be written is needed"):
        check_target(tmp_path / "new" / "p.png", "--pictures")
