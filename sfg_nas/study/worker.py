"""One worker: it takes trials that were left, then new ones, until there are enough."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from sfg_nas.allocation import Allocation
from sfg_nas.config import StudyConfig
from sfg_nas.errors import SfgNasError, enough_memory
from sfg_nas.study.layout import TrialFiles
from sfg_nas.study.place import Place
from sfg_nas.study.progress import Clock, Progress, ProgressCallback
from sfg_nas.study.references import References
from sfg_nas.study.scalars import Scalars, scalars
from sfg_nas.study.storage import Ended, RunningTrial
from sfg_nas.study.study import Study
from sfg_nas.study.trial import Ledger, OnEpoch, run_trial
from sfg_nas.training import History, derive_seed, remove_leftovers, write_json, write_text

FAILURES = (SfgNasError, RuntimeError, ValueError, MemoryError)
"""What fails a trial, and not the study: also what torch raises when a candidate is too large."""

AGE_OF_A_LOOK = 5.0
"""Seconds that what an epoch's report says of other trials may be old."""


class PrunedError(Exception):
    """Raised through the training loop when the pruner ends a trial."""


class Runner(Protocol):
    """Runs a trial, or the rest of it, here or elsewhere; its files are in place when it returns."""

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
        """Return the trial's ledger."""
        ...


@dataclass(frozen=True)
class Worker:
    """What one worker needs.

    Attributes:
        study: The study.
        place: Where it meets the other workers.
        references: What Δ is measured against.
        device: Where to train.
        total: Trials in all, over all workers and calls.
        progress: Called with each report.
        run: Runs a trial.
    """

    study: Study
    place: Place
    references: References
    device: str
    total: int
    progress: ProgressCallback
    run: Runner = run_trial
    clock: Clock = field(default_factory=Clock)

    def work(self) -> None:
        """Take trials until there are enough.

        Raises:
            LostLockError: If the connection to the storage was lost.
            ArchitectureError: If a folder holds another trial than the storage, as one of another storage does.
        """
        self._report()
        while True:
            with self._next_trial() as trial:
                if trial is None:
                    return
                candidate = trial.suggest(self.study.space)
                self.place.check_folder(trial.number, dict(candidate))
                ended = self._run(trial)
                self.place.locks.check()  # a trial that may be another worker's by now is not told
                self._finish(trial, ended)

    @contextmanager
    def _next_trial(self) -> Iterator[RunningTrial | None]:
        """Hold the lock of a trial that no living process works on, oldest first, or of a new one."""
        store, locks = self.place.store, self.place.locks
        for number in store.running():
            with locks.hold(f"trial-{number}", wait=False) as held:
                # Whoever held it may have ended it in the meantime.
                if held and number in store.running():
                    self.place.courier.fetch(self.place.files.trial(number).root)
                    yield store.resume(number)
                    return
        with ExitStack() as stack:
            trial: RunningTrial | None = None
            # Only one process at a time may count and ask, so that there is never a trial too many.
            with locks.hold("ask"):
                if sum(store.counts().values()) < self.total:
                    trial = store.ask()
                    stack.enter_context(locks.hold(f"trial-{trial.number}"))
            yield trial

    def _run(self, trial: RunningTrial) -> Ended:
        """Return how a trial ended; an interruption goes through and leaves it running."""
        try:
            with scalars(self.place.files.scalars(trial.number)) as board, enough_memory("trial"):
                ledger = self._train(trial, self.place.files.trial(trial.number), board)
        except PrunedError as stop:
            return Ended("pruned", reason=str(stop))
        except FAILURES as error:
            return Ended("failed", reason=reason_of(error))
        return Ended("complete", values=objective_values(self.study, ledger, self.references))

    def _train(self, trial: RunningTrial, files: TrialFiles, board: Scalars) -> Ledger:
        remove_leftovers(files.root)
        candidate = trial.suggest(self.study.space)
        if not files.candidate.exists():
            write_text(files.candidate, candidate.to_json() + "\n")
        write_json(files.state, {"state": "running"})
        config = self.study.at(candidate)
        self._report(trial)

        def on_epoch(history: History) -> None:
            self.place.locks.check()
            self.place.courier.send(files.root)
            board.write(history.rows)
            self._report(trial, history, config.training.epochs)
            points = [objective_point(self.study, row, self.references) for row in history.rows]
            last = len(points) >= config.training.epochs
            if trial.should_stop(points) and not last:
                score = history.rows[-1]["score"]
                raise PrunedError(f"stopped after epoch {len(points)} at Δ = {score:+.4f}")

        return self.run(
            self._near(trial),
            config,
            files,
            seed=derive_seed(self.study.config.search.seed, "trial", trial.number),
            references=self.references,
            device=self.device,
            on_epoch=on_epoch,
        )

    def _near(self, trial: RunningTrial) -> Study:
        """Return the study, with what the trial starts near if it came from another run."""
        if trial.near is None:
            return self.study
        file = self.place.files.transferred(trial.near)
        self.place.courier.fetch(file)
        return replace(self.study, near=Allocation.load(file))

    def _finish(self, trial: RunningTrial, ended: Ended) -> None:
        files = self.place.files.trial(trial.number)
        content = {"state": ended.state, "values": list(ended.values), "reason": ended.reason}
        write_json(files.state, content)
        self.place.courier.send(files.root)
        trial.tell(ended)
        files.checkpoint.unlink(missing_ok=True)
        self.place.courier.drop(files.checkpoint)
        names: tuple[str, ...] = self.study.config.search.objectives
        values = dict(zip(names, ended.values, strict=False))
        text = f"trial {trial.number}: {ended.state}"
        text += "".join(f", {name} {value:.5g}" for name, value in values.items())
        text += f" ({ended.reason})" if ended.reason else ""
        self._report(trial, text=text, values=values)

    def _report(
        self,
        trial: RunningTrial | None = None,
        history: History | None = None,
        epochs: int = 0,
        *,
        text: str = "",
        values: dict[str, float] | None = None,
    ) -> None:
        standing = self.place.store.standing(seconds=AGE_OF_A_LOOK if history else 0.0)
        counts = standing.counts
        done = sum(counts.values()) - counts["running"]
        rows = history.rows if history is not None else ()
        row = rows[-1] if rows else {}
        part = len(rows) / epochs if epochs else 0.0
        self.progress(
            Progress(
                stage="search",
                done=done,
                total=self.total,
                epoch=len(rows),
                epochs=epochs,
                text=text,
                values=values or row,
                trial=None if trial is None else trial.number,
                counts=dict(counts),
                best=standing.best,
                seconds_left=self.clock.seconds_left(done + part, self.total),
            )
        )


def reason_of(error: Exception) -> str:
    """Return why a training failed, in words.

    Args:
        error: One of `FAILURES`.
    """
    return str(error) if isinstance(error, SfgNasError) else f"{type(error).__name__}: {error}"


def objective_values(study: Study, ledger: Ledger, references: References) -> tuple[float, ...]:
    """Return the objectives of a trial in the study's order.

    Args:
        study: The study.
        ledger: The trial's ledger.
        references: What Δ and the advantage are measured against.
    """
    values = _all_values(ledger.delta, ledger.macs, ledger.params, references)
    return tuple(values[name] for name in study.config.search.objectives)


def objective_point(
    study: Study, row: dict[str, float], references: References
) -> tuple[float, ...] | None:
    """Return the objectives as they stand after an epoch, or None where one is not known.

    Args:
        study: The study.
        row: The epoch's metrics.
        references: What Δ and the advantage are measured against.
    """
    nothing = math.nan  # where a task has lost its path from the image, there are no costs
    costs = row.get("macs", nothing), row.get("params", nothing)
    values = _all_values(row["score"], *costs, references)
    found = tuple(values[name] for name in study.config.search.objectives)
    return found if all(math.isfinite(value) for value in found) else None


def _all_values(
    delta: float, macs: float, params: float, references: References
) -> dict[str, float]:
    """Return every objective: `delta` is the mean relative gain over single-task networks, `error` its negative."""
    values = {"delta": delta, "error": -delta, "macs": float(macs), "params": float(params)}
    if references.hard_sharing is not None:
        values["advantage"] = references.advantage(delta, macs)
    return values
