from __future__ import annotations

import os
from pathlib import Path

import pytest

from sfg_nas.errors import ArchitectureError, ConfigError
from sfg_nas.files import parse_json, read_json, read_text


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "Expecting"),
        ("NaN", "NaN is no number"),
        ("-Infinity", "no number"),
        ("1e999", "too large"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ("9" * 5000, "digits"),
        ("[" * 10**5, "recursion"),
    ],
)
def test_json_that_is_refused(text: str, part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        parse_json(text, where="here", what="a thing", error=ConfigError)


def test_json_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_text('{"a": [1, 2.5, null, true, "b"]}')
    assert read_json(tmp_path / "x", what="a thing") == {"a": [1, 2.5, None, True, "b"]}


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large").write_bytes(b" " * 101)
    os.mkfifo(tmp_path / "pipe")
    for name in ("bytes", "large", "pipe", "none", "."):
        with pytest.raises(ArchitectureError, match="readable text file"):
            read_text(tmp_path / name, limit=100)
