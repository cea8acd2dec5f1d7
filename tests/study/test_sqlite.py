"""The journal of a run's SQLite file: a log where the disk is this machine's, the plain one elsewhere."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import optuna
import pytest
import sqlalchemy

from sfg_nas.study import sqlite
from sfg_nas.study.opened import close_storage, open_storage
from sfg_nas.study.storage import STORAGE_ERRORS, lost


def mode(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("pragma journal_mode").fetchone()[0])


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the folder that a made-up table of mounts has as a disk; below it lies `far`, another machine's."""
    table = tmp_path / "mounts"
    disk = str(tmp_path / "my disk").replace(" ", "\\040")
    lines = ("/dev/a / ext4 rw 0 0", f"/dev/b {disk} xfs rw 0 0", f"host:/x {disk}/far nfs4 rw 0 0")
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setattr(sqlite, "MOUNTS", table)
    return tmp_path / "my disk"


def test_the_innermost_mount_counts(mounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sqlite.file_system(mounts / "runs" / "study.db") == "xfs"
    assert sqlite.file_system(mounts / "far" / "study.db") == "nfs4"
    assert sqlite.file_system(mounts.parent / "study.db") == "ext4"
    monkeypatch.setattr(sqlite, "MOUNTS", mounts / "none")
    assert sqlite.file_system(mounts / "study.db") == ""


@pytest.mark.parametrize(("folder", "during"), [("", "wal"), ("far", "delete")])
def test_the_log_is_used_on_a_disk_of_this_machine_and_folded_at_the_end(
    mounts: Path, folder: str, during: str
) -> None:
    database = mounts / folder / "study.db"
    storage = open_storage(None, database)
    assert mode(database) == during
    other = open_storage(f"sqlite:///{database}", database)
    close_storage(storage)
    assert mode(database) == during  # the other has it open
    close_storage(other)
    assert mode(database) == "delete"
    assert {path.name for path in database.parent.glob("study.db*")} == {"study.db"}


def test_the_file_lies_where_its_path_says_whatever_signs_it_has(mounts: Path) -> None:
    database = mounts / "a?b=c%41#{d}" / "study.db"
    storage = open_storage(None, database)
    study = optuna.create_study(storage=storage, study_name="a")
    study.add_trial(optuna.create_trial(value=1.5))
    close_storage(storage)
    assert mode(database) == "delete"
    assert [path.name for path in mounts.iterdir()] == [database.parent.name]
    storage = open_storage(f"sqlite:///{database}", database)
    assert storage.get_study_id_from_name("a") == study._study_id
    close_storage(storage)


def test_a_full_disk_is_said(mounts: Path) -> None:
    storage = open_storage(None, mounts / "study.db")
    study = optuna.create_study(storage=storage, study_name="a")
    close_storage(storage)
    full = "pragma max_page_count = 1"  # no more than there are
    sqlalchemy.event.listen(storage.engine, "connect", lambda opened, _: opened.execute(full))  # type: ignore[attr-defined]
    with pytest.raises(STORAGE_ERRORS, match="invalid data") as caught:
        study.set_user_attr("long", "x" * 100_000)
    close_storage(storage)
    assert "(sqlite3.OperationalError) database or disk is full" in str(lost("a", caught.value))


def test_a_file_that_is_gone_is_not_made_anew(mounts: Path) -> None:
    storage = open_storage(None, mounts / "study.db")
    (mounts / "study.db").unlink()
    close_storage(storage)
    assert not (mounts / "study.db").exists()


def test_what_a_killed_process_had_stored_is_there(mounts: Path) -> None:
    database = mounts / "study.db"
    code = """
import os, signal, sys
from pathlib import Path
import optuna
from sfg_nas.study import sqlite
from sfg_nas.study.opened import open_storage
sqlite.MOUNTS = Path(sys.argv[2])
storage = open_storage(None, Path(sys.argv[1]))
study = optuna.create_study(storage=storage, study_name="a")
study.add_trial(optuna.create_trial(value=1.5))
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", code, str(database), str(sqlite.MOUNTS)]
    ended = subprocess.run(command, check=False, capture_output=True, env={**os.environ})
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert database.with_name("study.db-wal").stat().st_size > 0
    storage = open_storage(None, database)
    trials = storage.get_all_trials(storage.get_study_id_from_name("a"))
    assert [trial.value for trial in trials] == [1.5]
    close_storage(storage)
