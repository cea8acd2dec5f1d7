"""The documented SLURM script on a real cluster of one node: an array of searches, one of them interrupted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sfg_nas.study import load_study, search

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[1]
TRIALS, EPOCHS = 3, 12
STUDY = {
    "name": "faces",
    "data": {"kind": "digits", "train": 256, "validation": 64, "test": 32},
    "backbone": {"kind": "vgg11", "width": 0.0625, "depth": 4},
    "training": {"epochs": EPOCHS, "batch_size": 64, "learning_rate": 1e-2},
    "search": {
        "trials": TRIALS,
        "sampler": {"kind": "random"},
        "space": {"sharing.lambda3": {"type": "float", "low": 0.0, "high": 0.5}},
    },
}


def address() -> str:
    return os.environ["SFG_NAS_TEST_POSTGRES"].replace("+psycopg", "")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Write the script of `docs/cluster.md` for this machine: two processors, no GPU."""
    if "SLURM_CONF" not in os.environ:
        pytest.skip("no SLURM was started; `.ci/services` says why")
    page = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    (text,) = re.findall(
        r"^```sh slurm\n(#!/bin/bash\n#SBATCH .*?)```$", page, re.MULTILINE | re.DOTALL
    )
    study = {**STUDY, "name": f"faces-{uuid.uuid4().hex[:8]}"}
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies/faces.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    for ours, here in {
        "--array=0-7": "--array=0-1",
        "--cpus-per-task=4": "--cpus-per-task=1",
        " --gres=gpu:1": "",
        "--device cuda": "--device cpu",
        "postgresql://user@host/database": address(),
    }.items():
        assert text.count(ours) == 1, ours
        text = text.replace(ours, here)
    path = tmp_path / "search.sh"
    path.write_text(text, encoding="utf-8")
    return path


def submit(script: Path, *options: str) -> str:
    """Return the number of the submitted job."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DATA": str(script.parent),
        "SCRATCH": str(script.parent / "scratch"),
    }
    call = ["sbatch", "--parsable", *options, script.name]
    done = subprocess.run(
        call, cwd=script.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}{logs(script)}"
    return done.stdout.strip()


def logs(script: Path) -> str:
    return "\n".join(path.read_text()[-2000:] for path in script.parent.glob("slurm-*.out"))


def wait(condition: Callable[[], bool], script: Path) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, logs(script)
        time.sleep(0.2)


def queue(job: str) -> str:
    call = ["squeue", "--noheader", "--format=%t", "--jobs", job]
    return subprocess.run(call, capture_output=True, text=True, check=False).stdout.strip()


def test_an_interrupted_array_is_finished_by_the_next_and_brought_home(
    script: Path, tmp_path: Path
) -> None:
    job = submit(script, "--array=0")
    wait(lambda: any((tmp_path / "scratch/0").rglob("checkpoint*")), script)
    # what `--signal=INT@60` does to the steps of a task that runs into its time limit
    subprocess.run(["scancel", "--signal=INT", f"{job}_0"], check=True)
    wait(lambda: not queue(job), script)
    assert "sfg-nas search" in logs(script), "an interrupted search says how to go on"
    submit(script, "--wait", "--ntasks=2")  # two workers in each task of the array
    places = [tmp_path / "scratch" / task for task in "01"]
    assert all(any(place.iterdir()) for place in places)

    home = tmp_path / "home"
    run = search(load_study(tmp_path / "studies/faces.yaml"), runs=home, storage=address())
    assert run.trials()["state"].tolist() == ["complete"] * TRIALS
    assert all(trial.files.architecture.exists() for trial in run.complete)
    assert run.epochs().groupby("trial").size().tolist() == [EPOCHS] * TRIALS
