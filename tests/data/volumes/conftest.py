"""A small folder of phantoms, made once, and copies of it to damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sfg_nas.data.volumes import write_phantoms


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data root with the folder `volumes` of six phantoms, to be left as it is."""
    root = tmp_path_factory.mktemp("phantoms")
    write_phantoms(root / "volumes", 6, size=48, seed=1)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    shutil.copytree(made, tmp_path / "root")
    return tmp_path / "root"
