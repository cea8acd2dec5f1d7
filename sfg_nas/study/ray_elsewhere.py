"""Trials and finals on the nodes of a Ray cluster: sent there, and their files brought home after every epoch."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue
from typing import Any

import torch

from sfg_nas.allocation import Allocation
from sfg_nas.allocator import keep_freed_memory
from sfg_nas.config import StudyConfig
from sfg_nas.errors import SfgNasError, TrainingError, explain
from sfg_nas.study.finals import Final
from sfg_nas.study.jobs import TrainingJob
from sfg_nas.study.layout import RunFiles, TrialFiles
from sfg_nas.study.references import References
from sfg_nas.study.study import Study
from sfg_nas.study.trial import Ledger, OnEpoch, run_trial
from sfg_nas.training import write_atomically

MOST_LOSSES = 3
"""A trial that lost so many workers in one sitting has failed."""


@dataclass(frozen=True)
class Cluster:
    """Where and with what trials run.

    Attributes:
        address: Of the cluster, such as `auto` or `ray://host:10001`; `local` starts one here.
        cpus: CPUs of each trial.
        gpus: GPUs of each trial; may be a part of one.
        trials: Trials at once; None for as many as the CPUs and GPUs allow.
    """

    address: str = "local"
    cpus: float = 1.0
    gpus: float = 0.0
    trials: int | None = None


There = Callable[[Study, References, Path, str, OnEpoch], None]
"""Trains on a node with (study, references, folder, device); its files are in the folder when it returns."""


@dataclass(frozen=True)
class _Trial:
    near: Allocation | None
    config: StudyConfig
    seed: int

    def __call__(
        self, study: Study, references: References, folder: Path, device: str, on_epoch: OnEpoch
    ) -> None:
        run_trial(
            replace(study, near=self.near),
            self.config,
            TrialFiles(folder),
            seed=self.seed,
            references=references,
            device=device,
            on_epoch=on_epoch,
        )


@dataclass(frozen=True)
class _Final:
    final: Final

    def __call__(
        self, study: Study, references: References, folder: Path, device: str, on_epoch: OnEpoch
    ) -> None:
        del references
        job = self.final.job(study, RunFiles(folder))
        replace(job, folder=folder).train(device, on_epoch)


@dataclass(frozen=True)
class Elsewhere:
    """Trains in the cluster; when its worker is lost, again from its last epoch."""

    ray: Any
    cluster: Cluster
    shared: object
    device: str

    def trial(
        self,
        study: Study,
        config: StudyConfig,
        files: TrialFiles,
        *,
        seed: int,
        references: References,
        device: str,
        on_epoch: OnEpoch,
    ) -> Ledger:
        """Run a trial, as `run_trial` does."""
        del references, device  # they are in `shared`, and the cluster's
        self._train(_Trial(study.near, config, seed), files.root, on_epoch)
        return Ledger.load(files)

    def final(self, final: Final, job: TrainingJob, on_epoch: OnEpoch) -> None:
        """Do a training of the finals."""
        self._train(_Final(final), job.folder, on_epoch)

    def _train(self, there: There, folder: Path, on_epoch: OnEpoch) -> None:
        lost = ""
        for _ in range(MOST_LOSSES):
            words = self._start(there, folder)
            try:
                for word in words:
                    self._hear(self.ray.get(word), folder, on_epoch)
            except (
                self.ray.exceptions.WorkerCrashedError,
                self.ray.exceptions.ActorDiedError,
                self.ray.exceptions.NodeDiedError,
                self.ray.exceptions.OutOfMemoryError,
                self.ray.exceptions.ObjectLostError,
            ) as error:
                lost = type(error).__name__
            else:
                return
            finally:
                with suppress(ValueError, TypeError, self.ray.exceptions.RayError):
                    self.ray.cancel(words, force=True)
        raise TrainingError(
            explain(
                where="ray",
                rule="a training's worker must live until its end",
                found=f"{MOST_LOSSES} lost workers ({lost})",
                do="look at the cluster's log; perhaps its memory is too small",
            )
        )

    def _start(self, there: There, folder: Path) -> Iterator[object]:
        task = self.ray.remote(_train_there).options(
            num_cpus=self.cluster.cpus,
            num_gpus=self.cluster.gpus,
            num_returns="streaming",
            max_retries=0,
        )
        threads = max(int(self.cluster.cpus), 1)
        words: Iterator[object] = task.remote(
            self.shared, there, _read(folder), self.device, threads
        )
        return words

    def _hear(self, word: object, folder: Path, on_epoch: OnEpoch) -> None:
        assert isinstance(word, tuple)
        said, contents = word
        for name, content in contents.items():
            write_atomically(folder / name, lambda part, c=content: part.write_bytes(c))  # type: ignore[misc]
        if isinstance(said, SfgNasError):
            raise said
        if said is not None:
            on_epoch(said)


def _read(folder: Path) -> dict[str, bytes]:
    return {
        file.name: file.read_bytes()
        for file in sorted(folder.glob("*"))
        if file.is_file() and not file.name.startswith(".") and file.name != "state.json"
    }


def _train_there(
    shared: tuple[Study, References],
    there: There,
    contents: dict[str, bytes],
    device: str,
    threads: int,
) -> Iterator[tuple[object, dict[str, bytes]]]:
    """Train on a node of the cluster: yields the history and the files after each epoch, and at the end."""
    study, references = shared
    keep_freed_memory()
    torch.set_num_threads(threads)
    words: Queue[object] = Queue(1)
    heard = threading.Event()

    def say(history: object) -> None:
        words.put(history)
        heard.wait()  # the files must not change before they were read
        heard.clear()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in contents.items():
            (folder / file).write_bytes(content)

        def train() -> None:
            try:
                there(study, references, folder, device, say)
                words.put(None)
            except BaseException as error:  # noqa: BLE001 (goes home as a value)
                words.put(error)

        threading.Thread(target=train, daemon=True).start()
        while True:
            word = words.get()
            if isinstance(word, BaseException) and not isinstance(word, SfgNasError):
                raise word
            yield word, _read(folder)
            heard.set()
            if word is None or isinstance(word, SfgNasError):
                return
