"""`data phantom`: a folder of phantoms, never over what is there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Call


def test_phantoms(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    said = call("data", "phantom", "--to", folder, "--subjects", 2, "--size", 32, "--json")
    assert said.code == 0
    assert json.loads(said.out)["written"] == [str(folder / f"phantom-0{n}") for n in (1, 2)]
    before = (folder / "phantom-01" / "mr.nii.gz").read_bytes()
    again = call("data", "phantom", "--to", folder, "--subjects", 1, "--size", 32, "--seed", 1)
    assert again.code == 2
    assert "--force" in again.err
    assert (folder / "phantom-01" / "mr.nii.gz").read_bytes() == before
    assert call("data", "phantom", "--to", folder, "--size", 8, "--force").code == 2


def test_a_missing_extra_is_one_line_that_names_it(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nibabel", None)
    said = call("data", "phantom", "--to", tmp_path / "made", "--subjects", 1, "--size", 32)
    assert said.code == 2
    assert "pip install 'sfg_nas[medical]'" in said.err
    assert len(said.err.splitlines()) == 1
