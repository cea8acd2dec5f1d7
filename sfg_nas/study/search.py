"""The outer loop: Optuna proposes, a trial is run, its end is told; whatever is interrupted goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sfg_nas.errors import SfgNasError
from sfg_nas.study.layout import RunFiles, TrialFiles, locked
from sfg_nas.study.progress import Progress, ProgressCallback, silent
from sfg_nas.study.provenance import begin_run
from sfg_nas.study.references import References, ensure_references
from sfg_nas.study.run import Run
from sfg_nas.study.storage import Ended, RunningTrial, TrialStore, open_optuna, open_storage
from sfg_nas.study.study import Study
from sfg_nas.study.trial import Ledger, run_trial
from sfg_nas.training import History, derive_seed, remove_leftovers, write_json, write_text


class _Pruned(Exception):
    """Raised through the training loop when the pruner ends a trial."""


def search(
    study: Study,
    *,
    runs: Path = Path("runs"),
    trials: int | None = None,
    device: str = "cpu",
    storage: str | None = None,
    progress: ProgressCallback = silent,
) -> Run:
    """Run a study, or the rest of it, and return its run.

    Interrupted anywhere, the same call goes on where it stopped. On one worker the finished study equals one that was
    not interrupted.

    Args:
        study: From `load_study`.
        runs: The folder of run directories.
        trials: How many trials there shall be over all calls, however they end; None for the study's number.
        device: Where to train.
        storage: Address of an Optuna storage, or None for the run's own SQLite file.
        progress: Called with each report.

    Raises:
        ConfigError: If the run was begun with another study, the storage cannot be opened, or the study's own values
            do not make a network.
        ConversionError: If the backbone cannot be made searchable.
        TrainingError: If the single-task references cannot be trained.
    """
    files = RunFiles(runs / study.config.name)
    if not files.study.exists():
        # What the study's own values cannot build, no trial can: said before anything is written or trained.
        study.make_supernet(study.config, seed=0)
    with locked(files.lock("begin")):
        remove_leftovers(files.root)
        begin_run(study, files)
        backend = open_storage(storage, files.database)
        config = study.config
        optuna_study = open_optuna(
            config.search, backend, name=config.name, epochs=config.training.epochs
        )
        store = TrialStore(optuna_study)
        store.enqueue(config.search.enqueue)
    total = trials or config.search.trials
    references = ensure_references(
        study,
        files,
        device=device,
        on_epoch=lambda history: progress(
            _epoch_report(study, history, Progress("references", 0, 1))
        ),
    )
    worker = _Worker(study, files, store, references, device, total, progress)
    worker.work()
    return Run.load(files.root)


def _epoch_report(study: Study, history: History, report: Progress) -> Progress:
    epochs = study.config.references.epochs or study.config.training.epochs
    return replace(report, epoch=len(history.rows), epochs=epochs, values=history.rows[-1])


@dataclass(frozen=True)
class _Worker:
    """One process that takes trials until there are enough."""

    study: Study
    files: RunFiles
    store: TrialStore
    references: References
    device: str
    total: int
    progress: ProgressCallback

    def work(self) -> None:
        """Take trials that were left, then new ones, until there are enough."""
        self._report()
        while True:
            with self._next_trial() as trial:
                if trial is None:
                    return
                ended = self._run(trial)
                self._finish(trial, ended)

    @contextmanager
    def _next_trial(self) -> Iterator[RunningTrial | None]:
        """Hold the lock of a trial that no living process works on, oldest first, or of a new one."""
        for number in self.store.running():
            with locked(self.files.lock(f"trial-{number}"), wait=False) as held:
                # Whoever held it may have ended it in the meantime.
                if held and number in self.store.running():
                    yield self.store.resume(number)
                    return
        with ExitStack() as stack:
            trial: RunningTrial | None = None
            # Only one process at a time may count and ask, so that there is never a trial too many.
            with locked(self.files.lock("ask")):
                if sum(self.store.counts().values()) < self.total:
                    trial = self.store.ask()
                    stack.enter_context(locked(self.files.lock(f"trial-{trial.number}")))
            yield trial

    def _run(self, trial: RunningTrial) -> Ended:
        """Return how a trial ended; an interruption goes through and leaves it running."""
        files = self.files.trial(trial.number)
        try:
            ledger = self._train(trial, files)
        except _Pruned as stop:
            return Ended("pruned", reason=str(stop))
        except SfgNasError as error:
            return Ended("failed", reason=str(error))
        return Ended("complete", values=objective_values(self.study, ledger))

    def _train(self, trial: RunningTrial, files: TrialFiles) -> Ledger:
        remove_leftovers(files.root)
        candidate = trial.suggest(self.study.space)
        if not files.candidate.exists():
            write_text(files.candidate, candidate.to_json() + "\n")
        write_json(files.state, {"state": "running"})
        config = self.study.at(candidate)

        def on_epoch(history: History) -> None:
            self._report(history, config.training.epochs)
            scores = [row["score"] for row in history.rows]
            last = len(scores) >= config.training.epochs
            if trial.should_stop(scores) and not last:
                raise _Pruned(f"stopped after epoch {len(scores)} at Δ = {scores[-1]:+.4f}")

        return run_trial(
            self.study,
            config,
            files,
            seed=derive_seed(self.study.config.search.seed, "trial", trial.number),
            references=self.references,
            device=self.device,
            on_epoch=on_epoch,
        )

    def _finish(self, trial: RunningTrial, ended: Ended) -> None:
        files = self.files.trial(trial.number)
        content = {"state": ended.state, "values": list(ended.values), "reason": ended.reason}
        write_json(files.state, content)
        trial.tell(ended)
        files.checkpoint.unlink(missing_ok=True)
        names: tuple[str, ...] = self.study.config.search.objectives
        values = dict(zip(names, ended.values, strict=False))
        text = f"trial {trial.number}: {ended.state}"
        text += "".join(f", {name} {value:.5g}" for name, value in values.items())
        text += f" ({ended.reason})" if ended.reason else ""
        self._report(text=text, values=values)

    def _report(
        self,
        history: History | None = None,
        epochs: int = 0,
        *,
        text: str = "",
        values: dict[str, float] | None = None,
    ) -> None:
        counts = self.store.counts()
        done = sum(counts.values()) - counts["running"]
        rows = history.rows if history is not None else ()
        row = rows[-1] if rows else {}
        self.progress(Progress("search", done, self.total, len(rows), epochs, text, values or row))


def objective_values(study: Study, ledger: Ledger) -> tuple[float, ...]:
    """Return the objectives of a trial in the study's order.

    `delta` is the mean relative gain over the single-task networks, `error` its negative.

    Args:
        study: The study.
        ledger: The trial's ledger.
    """
    values = {
        "delta": ledger.delta,
        "error": -ledger.delta,
        "macs": float(ledger.macs),
        "params": float(ledger.params),
    }
    return tuple(values[name] for name in study.config.search.objectives)
