from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sfg_nas.study.locks import FileLocks

CHILD = """
import sys
from pathlib import Path
from sfg_nas.study.locks import FileLocks
with FileLocks(Path(sys.argv[1])).hold("trial-0"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_held_once_and_ends_with_a_killed_holder(tmp_path: Path) -> None:
    locks = FileLocks(tmp_path)
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with locks.hold("trial-0", wait=False) as held, locks.hold("trial-1", wait=False) as other:
            assert (held, other) == (False, True)
        child.kill()
    with locks.hold("trial-0", wait=False) as held:
        assert held
    locks.check()
