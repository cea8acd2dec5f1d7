from __future__ import annotations

from pathlib import Path

import pytest

from sfg_nas.config import find_file, shipped
from sfg_nas.errors import ConfigError


def test_the_starter_files_are_there() -> None:
    assert {"digits", "utkface"} <= set(shipped("studies"))
    assert {"paper", "schedules", "architecture", "full"} <= set(shipped("search_spaces"))


def test_every_study_says_how_it_was_run() -> None:
    for path in shipped("studies").values():
        head = [line for line in path.read_text().splitlines() if line.startswith("#")]
        for word in ("Command:", "Hardware:", "Time:", "Result:"):
            assert any(word in line for line in head), f"{path.name} has no `{word}`"


def test_a_file_beside_wins_over_a_name(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("")
    assert find_file("search_spaces", "mine.yaml", beside=tmp_path) == tmp_path / "mine.yaml"
    assert find_file("search_spaces", "paper") == shipped("search_spaces")["paper"]
    with pytest.raises(ConfigError, match="did you mean `paper`"):
        find_file("search_spaces", "papr")
