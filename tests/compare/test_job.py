"""A comparison that is killed without warning: what was done stays, nothing is done twice, nothing is lost."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from sfg_nas.compare import compare
from sfg_nas.study import Progress, Study, load_study
from tests.study.conftest import CONTENT, make_data, two_layers

Make = Callable[..., Study]
CHANGES: dict[str, Any] = {
    "training.learning_rate": 0.01,
    "training.epochs": 8,
    "compare.tuning_trials": 2,
}
METHODS = ("constant-mask", "cross-stitch", "constant-p", "sfg-corrected")
KILLS = 6


def be_killed(runs: Path) -> None:
    """Compare: the target of a process that will not live long."""
    torch.set_num_threads(1)
    content = deepcopy(CONTENT)
    del content["search"]["space"]["training.learning_rate"]
    study = load_study(content, CHANGES, backbone=two_layers, data=make_data())
    compare(study, METHODS, 2, runs=runs)


def finished(runs: Path) -> dict[Path, int]:
    """Return when each finished training, and each score on the test part, was written."""
    files = [*runs.rglob("metrics.json"), *runs.rglob("test.json")]
    return {path: path.stat().st_mtime_ns for path in files}


@pytest.mark.ci
@pytest.mark.slow
def test_killed_at_random_moments_equals_uninterrupted(make_study: Make, tmp_path: Path) -> None:
    whole = compare(make_study(CHANGES), METHODS, 2, runs=tmp_path / "whole")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sfg_nas.compare"])
    moments, cut = random.Random(5), tmp_path / "cut"  # noqa: S311 (moments, no secret)
    known: dict[Path, int] = {}
    steps = len(finished(tmp_path / "whole")) // (KILLS + 1)
    killed = 0
    for _ in range(KILLS):
        process = context.Process(target=be_killed, args=(cut,))
        process.start()
        while process.is_alive() and len(finished(cut)) < len(known) + steps:
            time.sleep(0.005)
        process.join(moments.uniform(0, 0.2))
        if not process.is_alive():  # it was faster than the kills
            assert process.exitcode == 0
            break
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        killed += 1
        now = finished(cut)
        assert {path: now[path] for path in known} == known  # what was done is left alone
        known = now
    assert killed >= KILLS // 2, "it ended by itself: the comparison is too short"
    reports: list[Progress] = []
    again = compare(make_study(CHANGES), METHODS, 2, runs=cut, progress=reports.append)
    assert {path: finished(cut)[path] for path in known} == known
    timeless = [name for name in whole.networks if name != "training_seconds"]
    pd.testing.assert_frame_equal(whole.networks[timeless], again.networks[timeless])
    pd.testing.assert_frame_equal(whole.paired, again.paired)
    assert whole.verdict == again.verdict
    assert not list(cut.rglob("checkpoint.safetensors"))
