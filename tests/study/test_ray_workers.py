"""A real local Ray cluster: results come home, and a killed worker's trial goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from sfg_nas.study import Cluster, Progress, load_study, search

CONTENT = {
    "name": "ray",
    "data": {"kind": "digits", "train": 200, "validation": 48, "test": 48},
    "backbone": {"kind": "vgg11", "width": 0.0625, "depth": 3},
    "sharing": {"start": {"kind": "near-shared"}},
    "training": {"epochs": 6, "batch_size": 32},
    "references": {"epochs": 1},
    "search": {"trials": 2, "space": {"sharing.lambda2": {"type": "float", "low": -1, "high": 1}}},
}


def workers() -> list[int]:
    """Return the processes of this user's Ray that train at this moment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (folder / "cmdline").exists():
            line = (folder / "cmdline").read_bytes()
            if line.startswith(b"ray::_train_there"):
                found.append(int(folder.name))
    return found


@pytest.mark.ci
@pytest.mark.xdist_group("ray")
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_trials_on_a_cluster_come_home_and_outlive_a_worker(tmp_path: Path) -> None:
    killed: list[int] = []

    def progress(report: Progress) -> None:
        if report.stage == "search" and report.epoch == 2 and not killed:
            killed.extend(workers()[:1])
            os.kill(killed[0], signal.SIGKILL)

    study = load_study(CONTENT)
    run = search(study, runs=tmp_path / "ray", ray=Cluster(trials=2), progress=progress)
    assert killed
    assert [trial.state for trial in run.all] == ["complete"] * 2
    assert run.epochs().groupby("trial").size().tolist() == [6] * 2
    assert not list(run.path.rglob("checkpoint*"))
    # The first trials are random draws: the same as those of a search here.
    here = search(study, runs=tmp_path / "here")
    assert run.trials()["sharing.lambda2"].tolist() == here.trials()["sharing.lambda2"].tolist()
    assert run.all[0].allocation.to_json() == here.all[0].allocation.to_json()
