"""Several workers on one machine: processes of their own, watched, replaced when they die, and reported as one."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path

import torch

from sfg_nas.allocator import keep_freed_memory
from sfg_nas.errors import ConfigError, SfgNasError, TrainingError, explain
from sfg_nas.study.finals import FinalsWorker, Train
from sfg_nas.study.interrupts import unheard_by_children
from sfg_nas.study.place import Place, open_place
from sfg_nas.study.progress import Clock, Progress, ProgressCallback
from sfg_nas.study.references import load_references
from sfg_nas.study.storage import STORAGE_ERRORS, Ended, lost
from sfg_nas.study.study import Study
from sfg_nas.study.trial import run_trial
from sfg_nas.study.worker import Runner, Worker
from sfg_nas.training import write_json

MOST_DEATHS = 3
"""A trial whose worker died so often in one sitting has failed; it would kill the next one, too."""
_PATIENCE = 10.0  # seconds that a worker has to end before it is killed


@dataclass(frozen=True)
class Errand:
    """What a worker process is sent out with; all of it can be pickled.

    Attributes:
        study: The study, its data included.
        runs: The folder of run directories.
        device: Where to train.
        storage: Address of the storage, or None.
        total: Trials in all.
        finals: Whether it is the finals' trainings that are to be done, and not trials.
    """

    study: Study
    runs: Path
    device: str
    storage: str | None
    total: int
    finals: bool = False


@dataclass(frozen=True)
class Runners:
    """Who trains what a worker takes on.

    Attributes:
        trial: Runs a trial.
        final: Does a training of the finals; None for this process.
    """

    trial: Runner = run_trial
    final: Train | None = None


def devices_for(device: str, workers: int, gpus: int) -> list[str]:
    """Return the device of each worker: GPUs in turn where there are several.

    Args:
        device: What the user asked for; `cuda:1` stays what it is.
        workers: Their number.
        gpus: CUDA devices of this machine.
    """
    if device == "cuda" and gpus > 1:
        return [f"cuda:{index % gpus}" for index in range(workers)]
    return [device] * workers


def run_workers(errand: Errand, workers: int, place: Place, progress: ProgressCallback) -> None:
    """Run a search, or its finals, in several processes until all is done.

    Args:
        errand: What each of them does; the references must be there already.
        workers: Their number.
        place: Of the one that watches.
        progress: Called with what all of them report, as one.

    Raises:
        ConfigError: If the study cannot be given to another process.
        TrainingError: If a worker cannot work, or dies again and again.
        OSError: If the system refuses a worker something, as a full disk does.
    """
    crew = _Crew(errand, workers, place, progress)
    try:
        if not errand.finals:
            crew.announce()
        crew.start()
        crew.watch()
    finally:
        crew.dismiss()


@dataclass
class _Member:
    """One worker process and what it last said."""

    index: int
    process: SpawnProcess
    ears: Connection
    last: Progress | None = None


@dataclass
class _Crew:
    errand: Errand
    workers: int
    place: Place
    progress: ProgressCallback
    members: list[_Member] = field(default_factory=list)
    deaths: Counter[int | None] = field(default_factory=Counter)
    newest: Progress | None = None
    clock: Clock = field(default_factory=Clock)
    context: SpawnContext = field(default_factory=lambda: multiprocessing.get_context("spawn"))

    def announce(self) -> None:
        standing = self.place.store.standing()
        done = sum(standing.counts.values()) - standing.counts["running"]
        text = f"{self.workers} workers begin"
        begun = Progress("search", done, self.errand.total, text=text, best=standing.best)
        self.progress(replace(begun, counts=dict(standing.counts), workers=self.workers))

    def start(self) -> None:
        # A process takes its errand only when its imports are done, and `start` waits for that: all begin at once.
        with ThreadPoolExecutor(self.workers) as starters:
            self.members.extend(starters.map(self._member, range(self.workers)))

    def _member(self, index: int) -> _Member:
        devices = devices_for(self.errand.device, self.workers, torch.cuda.device_count())
        threads = max(torch.get_num_threads() // self.workers, 1)
        errand = replace(self.errand, device=devices[index])
        ears, mouth = self.context.Pipe(duplex=False)
        process = self.context.Process(
            target=_work, args=(errand, mouth, threads), name=f"sfg-nas worker {index}", daemon=True
        )
        try:
            with unheard_by_children():
                process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ConfigError(
                explain(
                    where="search: workers",
                    rule="a study that several processes work on must be picklable",
                    found=str(error),
                    do="define your backbone at the top of a module, or use one worker",
                )
            ) from error
        mouth.close()  # only the worker speaks: its death then ends the pipe
        return _Member(index, process, ears)

    def watch(self) -> None:
        while self.members:
            ready = wait([member.ears for member in self.members])
            for member in [member for member in self.members if member.ears in ready]:
                self._hear(member)

    def _hear(self, member: _Member) -> None:
        try:
            said = member.ears.recv()
        except (EOFError, OSError, pickle.UnpicklingError):  # it ended, perhaps within a word
            self._bury(member)
            return
        if isinstance(said, SfgNasError | OSError):
            raise said
        member.last = said
        self.progress(self._merged(said))

    def _bury(self, member: _Member) -> None:
        member.process.join(_PATIENCE)
        code = member.process.exitcode
        member.ears.close()
        self.members.remove(member)
        if code == 0:
            return
        trial = member.last.trial if member.last is not None else None
        self.deaths[trial] += 1
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        if self.deaths[trial] >= MOST_DEATHS:
            self._give_up(trial, f"its worker died {MOST_DEATHS} times ({how})")
        self.members.append(self._member(member.index))

    def _give_up(self, trial: int | None, reason: str) -> None:
        if trial is None:
            raise TrainingError(
                explain(
                    where="search: workers",
                    rule="a worker must be able to begin a trial",
                    found=reason,
                    do="look at what it wrote, or try one worker",
                )
            )
        store, files = self.place.store, self.place.files.trial(trial)
        with self.place.locks.hold(f"trial-{trial}"):
            if trial in store.running():
                content = {"state": "failed", "values": [], "reason": reason}
                write_json(files.state, content)
                self.place.courier.send(files.root)
                store.resume(trial).tell(Ended("failed", reason=reason))
                files.checkpoint.unlink(missing_ok=True)

    def _merged(self, said: Progress) -> Progress:
        """Return one report for all: the newest look at the storage, the epochs of everyone."""
        # What a worker saw before another one began or ended a trial may be heard after it.
        if self.newest is None or _look(said) >= _look(self.newest):
            self.newest = said
        reports = [m.last for m in self.members if m.last is not None and not m.last.text]
        parts = sum(r.epoch / r.epochs for r in reports if r.epochs)
        return replace(
            said,
            done=self.newest.done,
            counts=self.newest.counts,
            best=self.newest.best,
            epoch=sum(report.epoch for report in reports),
            epochs=sum(report.epochs for report in reports),
            seconds_left=self.clock.seconds_left(self.newest.done + parts, said.total),
            workers=len(self.members),
        )

    def dismiss(self) -> None:
        for member in self.members:
            member.process.terminate()
        for member in self.members:
            member.process.join(_PATIENCE)
            if member.process.is_alive():
                member.process.kill()
                member.process.join()


def _look(report: Progress) -> tuple[int, int]:
    """Return what never falls from one look at the storage to the next: ended trials, and those that were begun."""
    return report.done, sum(report.counts.values())


def _work(errand: Errand, mouth: Connection, threads: int) -> None:
    """Be a worker: the target of a new process."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()
    torch.set_num_threads(threads)
    try:
        with open_place(errand.study, errand.runs, errand.storage) as place:
            work(errand, place, mouth.send)
    except (SfgNasError, OSError) as error:  # a full disk is no fault of the trial's
        mouth.send(error)
    except STORAGE_ERRORS as error:  # nor is it where the storage says so
        mouth.send(lost(errand.study.config.name, error))
    os._exit(0)  # all is stored; to take down torch and its like would last a second more


def work(
    errand: Errand, place: Place, progress: ProgressCallback, runners: Runners = Runners()
) -> None:
    """Do what a worker is sent out for; the references must be there already.

    Args:
        errand: What is to be done.
        place: Where it meets the other workers.
        progress: Called with each report.
        runners: Who trains; this process alone, or others elsewhere.

    Raises:
        LostLockError: If the connection to the storage was lost.
    """
    study, device = errand.study, errand.device
    if errand.finals:
        FinalsWorker(study, place, device, progress, runners.final).work()
        return
    references = load_references(place.files)
    assert references is not None
    Worker(study, place, references, device, errand.total, progress, runners.trial).work()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
