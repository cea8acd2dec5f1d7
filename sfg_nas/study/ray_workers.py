"""Trials on a Ray cluster: asked for and told here, trained there; their files come home after every epoch."""

from __future__ import annotations

import logging
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

import torch

from sfg_nas.allocation import Allocation
from sfg_nas.allocator import keep_freed_memory
from sfg_nas.config import StudyConfig
from sfg_nas.errors import ConfigError, SfgNasError, TrainingError, explain
from sfg_nas.study.layout import TrialFiles
from sfg_nas.study.place import open_place
from sfg_nas.study.progress import Progress, ProgressCallback
from sfg_nas.study.references import References
from sfg_nas.study.study import Study
from sfg_nas.study.trial import Ledger, OnEpoch, run_trial
from sfg_nas.study.worker import Worker
from sfg_nas.study.workers import Errand
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


def run_on_ray(
    errand: Errand, cluster: Cluster, references: References, progress: ProgressCallback
) -> None:
    """Run a search on a Ray cluster until all trials are done.

    Args:
        errand: What is searched; its device is that of the cluster's nodes.
        cluster: Where and with what.
        references: What Δ is measured against.
        progress: Called with each report.

    Raises:
        ConfigError: If Ray is not installed or the cluster cannot be reached.
        TrainingError: If a thread that speaks for the cluster fails.
    """
    stream = random.getstate()  # Ray draws from Python's global stream
    ray = _begin(cluster)
    try:
        shared = ray.put((errand.study, references))
        threads = [
            _Speaker(errand, cluster, references, progress, ray, shared)
            for _ in range(_at_once(ray, cluster, errand.total))
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(0.2)  # short, so that Ctrl-C is heard
        for thread in threads:
            if thread.error is not None:
                raise thread.error
    finally:
        ray.shutdown()
        random.setstate(stream)


def _begin(cluster: Cluster) -> Any:  # noqa: ANN401 (an optional package, imported late)
    try:
        import ray
    except ImportError as error:
        rule, do = "a Ray cluster needs the package ray", "pip install 'sfg_nas[distributed]'"
        message = explain(where="--ray", rule=rule, found="it is not installed", do=do)
        raise ConfigError(message) from error
    local = cluster.address == "local"
    try:
        ray.init(
            address="local" if local else cluster.address,
            include_dashboard=False if local else None,
            logging_level=logging.ERROR,
            log_to_driver=False,
            ignore_reinit_error=True,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        rule, do = "the Ray cluster must be reachable", "check the address, or start one"
        found = str(error).splitlines()[0]
        raise ConfigError(explain(where="--ray", rule=rule, found=found, do=do)) from error
    return ray


def _at_once(ray: Any, cluster: Cluster, total: int) -> int:  # noqa: ANN401
    if cluster.trials is not None:
        return min(cluster.trials, total)
    there = ray.cluster_resources()
    room = int(there.get("CPU", 1) // max(cluster.cpus, 1e-9))
    if cluster.gpus > 0:
        room = min(room, int(there.get("GPU", 0) // cluster.gpus))
    if room < 1:
        rule = "the cluster must have room for one trial"
        found = f"{there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs"
        do = "ask for less per trial"
        raise ConfigError(explain(where="--ray", rule=rule, found=found, do=do))
    return min(room, total)


class _Speaker(threading.Thread):
    """Speaks for one trial at a time that runs somewhere in the cluster."""

    def __init__(
        self,
        errand: Errand,
        cluster: Cluster,
        references: References,
        progress: Callable[[Progress], None],
        ray: Any,  # noqa: ANN401
        shared: object,
    ) -> None:
        super().__init__(daemon=True)
        self.errand, self.references, self.progress = errand, references, progress
        self.runner = _Elsewhere(ray, cluster, shared)
        self.error: Exception | None = None

    def run(self) -> None:
        errand = self.errand
        try:
            with open_place(errand.study, errand.runs, errand.storage) as place:
                Worker(
                    errand.study,
                    place,
                    self.references,
                    errand.device,
                    errand.total,
                    self.progress,
                    run=self.runner,
                ).work()
        except Exception as error:  # noqa: BLE001 (raised again where the threads are joined)
            self.error = error


@dataclass(frozen=True)
class _Elsewhere:
    """Runs a trial in the cluster; when its worker is lost, again from its last epoch."""

    ray: Any
    cluster: Cluster
    shared: object

    def __call__(
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
        del references  # they are in `shared`
        lost = ""
        for _ in range(MOST_LOSSES):
            words = self._start(study, config, files, seed, device)
            try:
                for word in words:
                    self._hear(self.ray.get(word), files, on_epoch)
                return Ledger.load(files)
            except (
                self.ray.exceptions.WorkerCrashedError,
                self.ray.exceptions.ActorDiedError,
                self.ray.exceptions.NodeDiedError,
                self.ray.exceptions.OutOfMemoryError,
                self.ray.exceptions.ObjectLostError,
            ) as error:
                lost = type(error).__name__
            finally:
                with suppress(ValueError, TypeError, self.ray.exceptions.RayError):
                    self.ray.cancel(words, force=True)
        raise TrainingError(
            explain(
                where="ray",
                rule="a trial's worker must live until its end",
                found=f"{MOST_LOSSES} lost workers ({lost})",
                do="look at the cluster's log; perhaps its memory is too small",
            )
        )

    def _start(
        self, study: Study, config: StudyConfig, files: TrialFiles, seed: int, device: str
    ) -> Iterator[object]:
        task = self.ray.remote(_train_there).options(
            num_cpus=self.cluster.cpus,
            num_gpus=self.cluster.gpus,
            num_returns="streaming",
            max_retries=0,
        )
        there = "cuda" if self.cluster.gpus > 0 else device
        threads = max(int(self.cluster.cpus), 1)
        words: Iterator[object] = task.remote(
            self.shared, study.near, config, _read(files.root), seed, (there, threads)
        )
        return words

    def _hear(self, word: object, files: TrialFiles, on_epoch: OnEpoch) -> None:
        assert isinstance(word, tuple)
        said, contents = word
        for name, content in contents.items():
            write_atomically(files.root / name, lambda part, c=content: part.write_bytes(c))  # type: ignore[misc]
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
    near: Allocation | None,
    config: StudyConfig,
    contents: dict[str, bytes],
    seed: int,
    how: tuple[str, int],
) -> Iterator[tuple[object, dict[str, bytes]]]:
    """Train on a node of the cluster: yields the history and the files after each epoch, and at the end."""
    from dataclasses import replace

    study, references = shared
    device, threads = how
    keep_freed_memory()
    torch.set_num_threads(threads)
    words: Queue[object] = Queue(1)
    heard = threading.Event()

    def say(history: object) -> None:
        words.put(history)
        heard.wait()  # the files must not change before they were read
        heard.clear()

    with tempfile.TemporaryDirectory() as folder:
        files = TrialFiles(Path(folder))
        for name, content in contents.items():
            (files.root / name).write_bytes(content)

        def train() -> None:
            try:
                run_trial(
                    replace(study, near=near),
                    config,
                    files,
                    seed=seed,
                    references=references,
                    device=device,
                    on_epoch=say,
                )
                words.put(None)
            except BaseException as error:  # noqa: BLE001 (goes home as a value)
                words.put(error)

        threading.Thread(target=train, daemon=True).start()
        while True:
            word = words.get()
            if isinstance(word, BaseException) and not isinstance(word, SfgNasError):
                raise word
            yield word, _read(files.root)
            heard.set()
            if word is None or isinstance(word, SfgNasError):
                return
