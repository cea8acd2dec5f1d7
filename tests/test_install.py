"""A plain install of the wheel with the lowest allowed versions, outside the repository, from `init` to a score."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_every_dependency_has_a_lower_bound_that_the_constraints_keep() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    pairs = [line.split("==") for line in lines if "==" in line]
    pinned = {name.lower().replace("_", "-"): version for name, version in pairs}
    for requirement in project["dependencies"]:
        found = re.match(r"([\w.-]+)>=([\d.]+)", requirement)
        assert found, requirement
        low = [int(part) for part in found[2].split(".")]
        own = [int(part) for part in re.findall(r"\d+", pinned[found[1].lower()])]
        assert own >= low, requirement


@pytest.mark.ci
@pytest.mark.timeout(1500)  # two minutes of work; a busy machine takes several times that
def test_the_wheel_works_outside_with_the_lowest_versions(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", str(ROOT / ".ci" / "lowest"), str(tmp_path)],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "lowest versions: done" in done.stdout
