"""Jobs in this process, or in several of this machine."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch

from sfg_nas.allocator import keep_freed_memory
from sfg_nas.compare.entrant import Entrant, Setting, run_of
from sfg_nas.compare.job import Job, run_job, test_job
from sfg_nas.compare.methods import make
from sfg_nas.config import StudyConfig
from sfg_nas.errors import ConfigError, SfgNasError, TrainingError, explain
from sfg_nas.study import (
    Clock,
    Progress,
    ProgressCallback,
    Run,
    RunFiles,
    Study,
    is_searched,
    search_to_the_end,
)
from sfg_nas.study.interrupts import unheard_by_children
from sfg_nas.training import History, read_rows

Work = Literal["train", "test"]
Found = tuple[Path, int]
"""The run and the number of the trial whose architecture is `found`: it may be another run than the comparison's."""
Meant = tuple[StudyConfig, str]
"""A study's settings and the fingerprint of its data."""
_WATCH_SECONDS = 2.0


@dataclass(frozen=True)
class Workers:
    """Who does the work.

    Attributes:
        count: Processes; 1 works in this one.
        reload: Loads the same study again in another process; None hands it over as it is.
    """

    count: int = 1
    reload: Callable[[], Study] | None = None


@dataclass(frozen=True)
class Place:
    """Where the work is done.

    Attributes:
        runs: The folder of run directories.
        device: Where to train.
    """

    runs: Path
    device: str


class Team:
    """Does jobs, one after the other here or several at a time elsewhere."""

    def __init__(
        self, setting: Setting, place: Place, workers: Workers, progress: ProgressCallback
    ) -> None:
        """Start the other processes, if there shall be some.

        Args:
            setting: The comparison.
            place: Where to work.
            workers: Who works.
            progress: Called with each report.
        """
        self.setting, self._place, self._progress = setting, place, progress
        self._count = workers.count
        self._entrants: dict[str, Entrant] = {}
        self._pool: ProcessPoolExecutor | None = None
        if workers.count > 1:
            source: object = workers.reload or setting.study
            study = setting.study
            meant = study.config, study.data.fingerprint
            arguments = (source, meant, place, os.getpid(), _threads(workers.count))
            self._pool = ProcessPoolExecutor(
                workers.count,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin,
                initargs=arguments,
            )

    def close(self) -> None:
        """End the other processes; what they were at goes on with the next call."""
        if self._pool is not None:
            processes = list((self._pool._processes or {}).values())
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()

    def entrant(self, name: str) -> Entrant:
        """Return a method by name, made once."""
        if name not in self._entrants:
            self._entrants[name] = make(self.setting, name)
        return self._entrants[name]

    def search(self) -> None:
        """Search until the study's trials have ended, all workers on one run, also those that other processes run.

        A search that is over is left alone: it may have had another storage than the run's own file.
        """
        if is_searched(self.setting.study, self.setting.files):
            return
        search_to_the_end(
            self.setting.study,
            runs=self._place.runs,
            device=self._place.device,
            workers=self._count,
            progress=self._progress,
        )

    def train(self, jobs: Sequence[Job]) -> None:
        """Train what is not trained yet."""
        self._each("train", jobs)

    def test(self, jobs: Sequence[Job]) -> None:
        """Score on the test part what is not scored yet."""
        self._each("test", jobs)

    def _each(self, work: Work, jobs: Sequence[Job]) -> None:
        clock = Clock()
        if self._pool is None:
            for done, job in enumerate(jobs):
                report = Progress("compare", done, len(jobs), text=_words(work, job))
                self._progress(report)
                self._here(work, job, report, clock)
            return
        trial = self.setting.found
        found = None if trial is None else (run_of(trial).path, trial.number)
        with unheard_by_children():
            waiting = {self._pool.submit(_do, work, job, found): job for job in jobs}
        try:
            while waiting:
                self._wait(work, waiting, len(jobs), clock)
        except BrokenProcessPool as error:
            raise TrainingError(
                explain(
                    where="compare: a worker",
                    rule="it must live until its work is done",
                    found="that the system ended it, perhaps for want of memory",
                    do="call again to go on, perhaps with fewer --workers",
                )
            ) from error

    def _here(self, work: Work, job: Job, report: Progress, clock: Clock) -> None:
        def on_epoch(history: History) -> None:
            rows = history.rows
            epochs = self.setting.epochs
            left = clock.seconds_left(report.done + len(rows) / epochs, report.total)
            self._progress(replace(report.after(rows, epochs), seconds_left=left))

        entrant, device = self.entrant(job.entrant), self._place.device
        if work == "train":
            run_job(job, entrant, self.setting, device=device, on_epoch=on_epoch)
        else:
            test_job(job, entrant, self.setting, device=device)

    def _wait(self, work: Work, waiting: dict[Future[None], Job], total: int, clock: Clock) -> None:
        """Wait for a job to end, for a while, and report what ended or how far the others are."""
        ended, _ = wait(waiting, timeout=_WATCH_SECONDS, return_when=FIRST_COMPLETED)
        jobs = [waiting.pop(future) for future in ended]
        epochs = self.setting.epochs
        behind = [_epochs_of(job, self.setting) for job in waiting.values() if work == "train"]
        # what an earlier call trained is done, too, before a worker comes to it
        done = total - len(waiting) + sum(rows >= epochs for rows in behind)
        for future, job in zip(ended, jobs, strict=True):
            future.result()
            self._progress(Progress("compare", done, total, text=f"{_words(work, job)}: done"))
        if ended or work == "test":
            return
        begun = [rows for rows in behind if 0 < rows < epochs]
        report = Progress("compare", done, total, sum(begun), len(begun) * epochs)
        left = clock.seconds_left(done + sum(begun) / epochs, total)
        self._progress(replace(report, seconds_left=left, workers=self._count))


def _epochs_of(job: Job, setting: Setting) -> int:
    """Return how many epochs a training has behind it, going by the table that it writes after each."""
    try:
        return len(read_rows(job.folder(setting) / "metrics.csv"))
    except TrainingError:  # none yet
        return 0


def _words(work: Work, job: Job) -> str:
    how = "testing" if work == "test" else "training"
    return f"{how} {job.entrant} ({job.scale}), seed {job.seed}"


def _threads(workers: int) -> int:
    return max(torch.get_num_threads() // workers, 1)


class _Worker:
    """What a worker process knows."""

    study: Study
    place: Place
    trouble: SfgNasError | None = None


def _begin(source: object, meant: Meant, place: Place, parent: int, threads: int) -> None:
    """Load the study, and end with the process that started this one, however that ends."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    _Worker.place = place
    try:
        _Worker.study = _loaded(source, meant)
    except SfgNasError as error:  # told by the first job: what begins a process can only die
        _Worker.trouble = error


def _loaded(source: object, meant: Meant) -> Study:
    """Return the study that the comparison was begun with.

    Raises:
        ConfigError: If its files hold another one by now.
    """
    if isinstance(source, Study):
        return source
    study: Study = source()  # type: ignore[operator]
    if (study.config, study.data.fingerprint) == meant:
        return study
    rule = "it must read the study and the data that the comparison was begun with"
    found = "others, as their files were changed meanwhile"
    do = "undo the changes and call again to go on, or give the changed study another name"
    raise ConfigError(explain(where="compare: a worker", rule=rule, found=found, do=do))


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


def _do(work: Work, job: Job, found: Found | None) -> None:
    setting = _setting(found)
    entrant = _entrant(job.entrant, found)
    device = _Worker.place.device
    if work == "train":
        run_job(job, entrant, setting, device=device, on_epoch=_ignore)
    else:
        test_job(job, entrant, setting, device=device)


@lru_cache(1)
def _setting(found: Found | None) -> Setting:
    if _Worker.trouble is not None:
        raise _Worker.trouble
    files = RunFiles(_Worker.place.runs / _Worker.study.config.name)
    trial = None if found is None else Run.load(found[0]).trial(found[1])
    return Setting(_Worker.study, files, trial)


@lru_cache(64)
def _entrant(name: str, found: Found | None) -> Entrant:
    return make(_setting(found), name)


def _ignore(history: History) -> None:
    del history
