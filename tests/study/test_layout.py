from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sfg_nas.study import RunFiles, locked


def test_a_lock_excludes_another_process_and_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "x"
    path.parent.mkdir()
    # The child takes the lock by hand: importing the package would take it seconds.
    code = (
        "import fcntl, sys\n"
        "with open(sys.argv[1], 'a') as file:\n"
        "    fcntl.flock(file, fcntl.LOCK_EX)\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with locked(path, wait=False) as held:
            assert not held
        child.kill()
    with locked(path, wait=False) as held:
        assert held


def test_paths_are_those_of_the_contract(tmp_path: Path) -> None:
    files = RunFiles(tmp_path)
    assert files.trial(7).ledger == tmp_path / "trials" / "7" / "ledger.json"
    assert files.database == tmp_path / "study.db"
