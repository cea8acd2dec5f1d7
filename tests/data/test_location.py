"""Folders of the data sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfg_nas.data.location import Location
from sfg_nas.errors import DataError


def test_a_folder_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    assert Location(root=tmp_path).folder("faces") == tmp_path / "faces"


def test_what_is_missing_is_said_in_four_parts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data set faces: .*; found no data root; .*--data-root"):
        Location().folder("faces")
    with pytest.raises(DataError, match=r"faces: .*; found no such folder; .*--data-root"):
        Location(root=tmp_path).folder("faces")
    (tmp_path / "faces").write_text("a file")
    with pytest.raises(DataError, match="no such folder"):
        Location(root=tmp_path).folder("faces")


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Location(cache=tmp_path / "c").cache_folder() == tmp_path / "c"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Location().cache_folder() == tmp_path / ".cache" / "sfg_nas"
    assert not (tmp_path / ".cache").exists()
