"""Workers that share nothing but a real PostgreSQL: locks, files, and the death of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from sfg_nas.errors import ConfigError, TrainingError
from sfg_nas.study import Progress, Run, Study, search
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.locks import LostLockError
from sfg_nas.study.place import _locks
from sfg_nas.study.postgres import PostgresCourier, PostgresLocks, ask, is_postgres

Make = Callable[..., Study]


def address() -> str:
    return os.environ["SFG_NAS_TEST_POSTGRES"]


def new_name() -> str:
    return f"test-{uuid.uuid4().hex}"


def test_what_is_a_postgres() -> None:
    assert is_postgres("postgresql://a@b/c")
    assert is_postgres("postgres://b/c")
    assert not is_postgres("sqlite:///x.db")


def test_one_that_does_not_answer_is_said(make_study: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be reachable"):
        search(make_study(), runs=tmp_path, storage="postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(ConfigError, match="for one machine, is needed"):
        search(make_study(), runs=tmp_path, storage="mysql://me:secret@host/x")
    with pytest.raises(ConfigError, match="is needed; found ''; give one of these"):
        search(make_study(), runs=tmp_path, storage="")


def test_no_password_is_said(tmp_path: Path) -> None:
    passwords = ("secret", "sec%secret", "a@secret", "a/secret")
    addresses = [f"postgresql://me:{password}@127.0.0.1:1/none" for password in passwords]
    addresses += ["mysql://me:a@secret@host/x", "mysql://host/x?password=secret"]
    for address in [*addresses, "host=127.0.0.1 password=secret"]:
        with pytest.raises(ConfigError, match="--storage: ") as caught:
            _locks(address, RunFiles(tmp_path), "faces")
        assert "secret" not in str(caught.value)


@pytest.mark.ci
def test_locks_exclude_each_other_and_are_lost_with_the_connection() -> None:
    name = new_name()
    one, two = PostgresLocks(address(), name), PostgresLocks(address(), name)
    other = PostgresLocks(address(), new_name())
    with (
        closing(one),
        closing(two),
        closing(other),
        one.hold("trial-0") as held,
        other.hold("trial-0", wait=False) as elsewhere,
    ):
        assert held
        assert elsewhere
        with two.hold("trial-0", wait=False) as second:
            assert not second
        pid = ask(one._connection, "select pg_backend_pid()")[0][0]
        ask(two._connection, "select pg_terminate_backend(%s)", pid)
        with pytest.raises(LostLockError):
            one.check()
        with two.hold("trial-0") as second:
            assert second


@pytest.mark.ci
def test_files_travel_and_nothing_leaves_the_run_directory(tmp_path: Path) -> None:
    name = new_name()
    here, there = (RunFiles(tmp_path / part) for part in ("here", "there"))
    one, two = (PostgresCourier(address(), name, files.root) for files in (here, there))
    with closing(one), closing(two):
        carry(name, one, two, here, there)
    assert not (tmp_path / "outside").exists()


def carry(
    name: str, one: PostgresCourier, two: PostgresCourier, here: RunFiles, there: RunFiles
) -> None:
    trial = here.trial(3)
    trial.root.mkdir(parents=True)
    trial.state.write_text('{"state": "running"}')
    trial.checkpoint.write_bytes(bytes(range(256)) * 9)
    (trial.root / ".metrics.csv.1.part").write_text("half")
    one.send(trial.root)
    two.fetch(there.trial(3).root)
    assert sorted(path.name for path in there.trial(3).root.iterdir()) == [
        "checkpoint.safetensors",
        "state.json",
    ]
    assert there.trial(3).checkpoint.read_bytes() == trial.checkpoint.read_bytes()
    one.drop(trial.checkpoint)
    there.trial(3).checkpoint.unlink()
    two.fetch(there.trial(3).root)
    assert not there.trial(3).checkpoint.exists()
    query = "insert into sfg_nas_files values (%s, %s, 'x', 'x')"
    ask(one._connection, query, name, "trials/3/../../../outside")
    two.fetch(there.trials)


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import torch
from conftest import CONTENT, make_data, two_layers
from sfg_nas.study import load_study, search
torch.set_num_threads(1)
del CONTENT["search"]["space"]["training.learning_rate"]
changes = {"name": sys.argv[3], "search.trials": 3, "training.epochs": 25}
study = load_study(CONTENT, changes, backbone=two_layers, data=make_data())
search(study, runs=Path(sys.argv[1]), storage=sys.argv[4])
"""


@pytest.mark.ci
def test_a_worker_elsewhere_goes_on_where_a_killed_one_stopped(
    make_study: Make, tmp_path: Path
) -> None:
    name = new_name()
    url = address().replace("postgresql+psycopg://", "postgresql://")
    changes = {"name": name, "search.trials": 3, "training.epochs": 25}
    study = make_study({**changes, "search.finals": {"trials": 2, "seeds": 2}})
    there, here = tmp_path / "there", tmp_path / "here"
    command = [sys.executable, "-c", CHILD, str(there), str(Path(__file__).parent), name, url]
    metrics = RunFiles(there / name).trial(0).metrics
    with subprocess.Popen(command) as child:
        started = time.monotonic()
        while not (metrics.exists() and len(metrics.read_text().splitlines()) > 4):
            assert child.poll() is None
            assert time.monotonic() - started < 250
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
    killed = pd.read_csv(metrics)
    assert len(killed) < 25
    # A shorter study of the same name is another study, wherever it is asked for.
    with pytest.raises(ConfigError, match=r"training\.epochs: 25 -> 2"):
        search(make_study({"name": name}), runs=tmp_path / "third", storage=url)
    assert not (tmp_path / "third" / name / "study.yaml").exists()
    run = search(study, runs=here, storage=url)
    assert [trial.state for trial in run.all] == ["complete"] * 3
    assert run.epochs().groupby("trial").size().tolist() == [25] * 3
    ours = run.epochs().query("trial == 0").drop(columns="trial").reset_index(drop=True)
    common = len(killed) - 1  # the last epoch may have been on its way
    assert ours["seconds"][:common].tolist() == killed["seconds"][:common].tolist()
    # Where it was killed, the same command brings everything home, and trains nothing.
    said: list[Progress] = []
    home = search(study, runs=there, storage=url, progress=said.append)
    assert not [report for report in said if report.epoch]
    assert home.finals == run.finals
    assert home.finals is not None
    pd.testing.assert_frame_equal(home.trials(), run.trials())
    pd.testing.assert_frame_equal(home.epochs(), run.epochs())
    assert home.references() == run.references()
    assert [t.architecture.hash for t in home.all] == [t.architecture.hash for t in run.all]
    assert not list(Run.load(there / name).path.rglob("checkpoint*"))


@pytest.mark.ci
def test_a_lost_storage_is_said(make_study: Make, tmp_path: Path) -> None:
    name = new_name()
    killer = PostgresLocks(address(), name)

    def progress(report: object) -> None:
        query = (
            "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
        )
        if getattr(report, "epoch", 0):
            ask(killer._connection, query)

    study = make_study({"name": name})
    with (
        closing(killer),
        pytest.raises(TrainingError, match="must answer as long as the search runs"),
    ):
        search(study, runs=tmp_path, storage=address(), progress=progress)
    assert len(search(study, runs=tmp_path, storage=address()).complete) == 3
