"""A comparison's small files: what is missing is empty, what is damaged is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sfg_nas.compare.content import read_content
from sfg_nas.errors import ArchitectureError


def test_missing_whole_and_damaged(tmp_path: Path) -> None:
    path = tmp_path / "test.json"
    assert read_content(path, "test") == {}
    reading = {"label": "found", "macs": 1, "params": 2, "scores": {"age/mae": 0.5}}
    content = {"identity": {}, "readings": [reading]}
    path.write_text(json.dumps(content))
    assert read_content(path, "test") == content
    for readings in ([], [{**reading, "scores": {"age/mae": "low"}}], [{"label": "found"}], None):
        path.write_text(json.dumps({"identity": {}, "readings": readings}))
        with pytest.raises(ArchitectureError, match="readings"):
            read_content(path, "test")
