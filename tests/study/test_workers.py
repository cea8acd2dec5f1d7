"""Several processes on one run: together they do what one does, and the death of one costs nothing."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from optuna.exceptions import StorageInternalError
from torch import nn

from sfg_nas.config import BackboneConfig
from sfg_nas.errors import ConfigError, TrainingError
from sfg_nas.study import Progress, Run, Study, search, workers
from sfg_nas.study.progress import silent
from sfg_nas.study.workers import Errand, _Crew, devices_for

Make = Callable[..., Study]


def test_gpus_are_taken_in_turn() -> None:
    assert devices_for("cuda", 3, gpus=2) == ["cuda:0", "cuda:1", "cuda:0"]
    assert devices_for("cuda", 2, gpus=1) == ["cuda", "cuda"]
    assert devices_for("cpu", 2, gpus=4) == ["cpu", "cpu"]


class Unborn:
    """A process that never starts."""

    def start(self) -> None:
        """Do nothing."""


@dataclass
class Midwife:
    """Notes which errand and how many threads each worker is sent out with."""

    sent: list[tuple[str, int]] = field(default_factory=list)

    def Pipe(self, duplex: bool) -> tuple[Connection, Connection]:
        return multiprocessing.Pipe(duplex)

    def Process(self, *, args: tuple[Errand, Connection, int], **_: object) -> Unborn:
        self.sent.append((args[0].device, args[2]))
        return Unborn()


def test_each_worker_gets_its_gpu_and_its_share_of_threads_and_keeps_them_when_replaced(
    make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    errand = Errand(make_study(), Path("runs"), "cuda", None, 9)
    context = Midwife()
    crew = _Crew(errand, 3, None, silent, context=context)  # type: ignore[arg-type]
    crew.start()
    assert sorted(context.sent) == [("cuda:0", 2), ("cuda:0", 2), ("cuda:1", 2)]
    crew._member(1)
    assert context.sent[-1] == ("cuda:1", 2)
    for member in crew.members:
        member.ears.close()


def test_workers_begin_at_the_same_time(make_study: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=30)

    class Slow(Unborn):
        def start(self) -> None:
            both.wait()  # one after the other, the first would wait in vain

    monkeypatch.setattr(Midwife, "Process", lambda *_, **__: Slow())
    crew = _Crew(
        Errand(make_study(), Path("runs"), "cpu", None, 9),
        2,
        None,  # type: ignore[arg-type]
        silent,
        context=Midwife(),  # type: ignore[arg-type]
    )
    crew.start()
    assert [member.index for member in crew.members] == [0, 1]
    for member in crew.members:
        member.ears.close()


def children() -> list[int]:
    mine = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
    pids = [int(pid) for pid in Path(mine).read_text(encoding="utf-8").split()]
    return [pid for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.slow
@pytest.mark.timeout(900)  # three processes with their imports: slow beside other load
def test_an_old_look_at_the_storage_does_not_replace_a_newer_one(make_study: Make) -> None:
    crew = _Crew(Errand(make_study(), Path("runs"), "cpu", None, 9), 2, None, silent)  # type: ignore[arg-type]
    told = [
        Progress("search", 1, 9, counts={"complete": 1, "running": 1}),
        Progress("search", 1, 9, counts={"complete": 1, "running": 2}, best=0.5),
        Progress("search", 1, 9, 1, 3, counts={"complete": 1, "running": 1}),  # looked before that
        Progress("search", 2, 9, counts={"complete": 2, "running": 1}),
    ]
    running = [crew._merged(report).counts["running"] for report in told]
    assert running == [1, 2, 2, 1]


def test_two_workers_share_the_trials_and_a_killed_one_is_replaced(
    make_study: Make, tmp_path: Path
) -> None:
    # A slow rate, at which no task of so small a network loses its path: that would be a failed trial.
    slow = {"training.allocation_learning_rate": 0.01}
    study = make_study({"search.trials": 5, "training.epochs": 6} | slow)
    reports: list[Progress] = []

    def progress(report: Progress) -> None:
        reports.append(report)
        if report.stage == "search" and report.epoch and not killed:
            killed.extend(children()[:1])
            os.kill(killed[0], signal.SIGKILL)

    killed: list[int] = []
    run = search(study, runs=tmp_path, workers=2, progress=progress)
    assert killed
    assert [trial.number for trial in run.all] == list(range(5))
    assert {trial.state for trial in run.all} == {"complete"}
    assert run.epochs().groupby("trial").size().tolist() == [6] * 5
    found = [report for report in reports if report.stage == "search"]
    assert 2 in {report.workers for report in found}
    # Whether both are ever at work at once depends on how soon the second starts; never more are.
    running = [report.counts.get("running", 0) for report in found]
    assert max(running) in {1, 2}
    for report in found:
        ended = sum(number for state, number in report.counts.items() if state != "running")
        assert report.done == ended <= report.total
        assert report.epoch <= report.epochs <= 6 * 2
        assert report.seconds_left is None or report.seconds_left >= 0
    for course in ([r.done for r in found], [r.best for r in found if r.best is not None]):
        assert course == sorted(course)
    last = found[-1]
    assert (last.done, last.total, last.counts["complete"]) == (5, 5, 5)
    assert last.best == run.best.delta
    assert any(report.seconds_left is not None for report in found)
    assert not children()


def deadly(config: BackboneConfig, image_shape: Sequence[int]) -> nn.Module:
    """Return a backbone, or end the process: at one width, in a worker."""
    if config.width == 0.5 and multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return nn.Sequential(nn.Conv2d(image_shape[0], 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())


@pytest.mark.ci
def test_a_trial_that_kills_its_workers_fails_and_the_study_goes_on(
    make_study: Make, tmp_path: Path
) -> None:
    widths = {"backbone.width": {"type": "categorical", "choices": [0.5, 1.0]}}
    enqueue = [{"backbone.width": 0.5}, {"backbone.width": 1.0}]
    study = make_study({"search.trials": 2, "search.space": widths, "search.enqueue": enqueue})
    run = search(replace(study, backbone=deadly), runs=tmp_path, workers=2)
    first, second = run.all
    assert first.state == "failed"
    assert first.reason == "its worker died 3 times (signal 9)"
    assert second.state == "complete"


def full_disk(config: BackboneConfig, image_shape: Sequence[int]) -> nn.Module:
    """Return a backbone; in a worker, fail as a disk without room does."""
    del config
    if multiprocessing.parent_process() is not None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return nn.Sequential(nn.Conv2d(image_shape[0], 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())


def test_what_the_system_refuses_a_worker_ends_the_search_and_fails_no_trial(
    make_study: Make, tmp_path: Path
) -> None:
    study = replace(make_study({"search.trials": 2}), backbone=full_disk)
    with pytest.raises(OSError, match="No space left on device"):
        search(study, runs=tmp_path, workers=2)
    assert {trial.state for trial in Run.load(tmp_path / "tiny").all} == {"running"}
    assert not children()


def test_a_storage_that_does_not_answer_a_worker_ends_the_search_and_fails_no_trial(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = sqlite3.OperationalError("database or disk is full")

    def refuse(*_: object) -> None:
        raise StorageInternalError("invalid data in the commit") from full

    monkeypatch.setattr(workers, "open_place", refuse)
    monkeypatch.setattr(workers, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(os, "_exit", lambda _: None)
    ears, mouth = multiprocessing.Pipe(duplex=False)
    before = signal.getsignal(signal.SIGTERM)
    try:
        workers._work(
            Errand(make_study(), tmp_path, "cpu", None, 9), mouth, torch.get_num_threads()
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    crew = _Crew(None, 1, None, silent)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="found OperationalError: database or disk is full"):
        crew._hear(workers._Member(0, None, ears))  # type: ignore[arg-type]


def test_what_cannot_be_pickled_is_said(make_study: Make, tmp_path: Path) -> None:
    study = make_study()
    width = 6
    study = replace(study, backbone=lambda _, shape: nn.Sequential(nn.Conv2d(shape[0], width, 3)))
    with pytest.raises(ConfigError, match="must be picklable"):
        search(study, runs=tmp_path, workers=2)


def test_ctrl_c_ends_all_workers(make_study: Make, tmp_path: Path) -> None:
    def progress(report: Progress) -> None:
        if report.stage == "search":
            raise KeyboardInterrupt

    study = make_study({"training.epochs": 40})
    with pytest.raises(KeyboardInterrupt):
        search(study, runs=tmp_path, workers=2, progress=progress)
    assert not children()
