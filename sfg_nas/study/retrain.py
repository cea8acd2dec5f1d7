"""Retraining beside controls of the same epochs and seeds; the test part is opened here."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from torch import nn

from sfg_nas.architecture import Architecture
from sfg_nas.config import RetrainConfig
from sfg_nas.cost import count_params
from sfg_nas.data import PREPARATION_FILE, Preparation
from sfg_nas.study.controls import CONTROLS
from sfg_nas.study.layout import RunFiles, locked
from sfg_nas.study.own import OwnBackbone
from sfg_nas.study.progress import Progress, ProgressCallback, silent
from sfg_nas.study.provenance import begin_run
from sfg_nas.study.references import load_references, macs_of
from sfg_nas.study.retrain_entries import FOUND, Entry, make_entries, variant_folders
from sfg_nas.study.run import Run, Trial, retrained_rows
from sfg_nas.study.settings import training_settings
from sfg_nas.study.stored import read_metrics
from sfg_nas.study.study import Study
from sfg_nas.study.table import SINGLE_TASK, paired_differences, summarise
from sfg_nas.training import (
    SCORE,
    DistilledMethod,
    History,
    Method,
    Settings,
    SupervisedMethod,
    derive_seed,
    evaluate,
    fenced_random_state,
    fit,
    make_fabric,
    remove_leftovers,
    save_module,
    weighted,
    write_json,
    write_rows,
    write_text,
)

VARIANT_KEYS = ("trial", "teacher_weight", "teacher_temperature", "patience", "precision")
"""What a training may do differently; a record without one of these did not."""
_KEYS = ("method", "name", "seed", "epochs", "learning_rate", "init", *VARIANT_KEYS)


def retrain(  # noqa: PLR0913 (the public face: each is a choice of its own)
    study: Study,
    architecture: Architecture | Trial,
    seeds: int | None = None,
    *,
    backbone: OwnBackbone | None = None,
    runs: str | Path = "runs",
    controls: Sequence[str] = CONTROLS,
    how: RetrainConfig | None = None,
    device: str = "cpu",
    progress: ProgressCallback = silent,
) -> pd.DataFrame:
    """Train an architecture and its controls, score them on the test part, and return their table.

    Each network keeps the weights of the epoch that was best on validation, and is scored with these.
    What is there already with the same settings is not trained again; interrupted anywhere, the same call goes on.

    Args:
        study: From `load_study`; its backbone is that of the controls.
        architecture: The found one, or the trial that found it.
        seeds: Independent trainings of each network; None for the study's number.
        backbone: A network of your own in place of the study's, see `load_study`.
        runs: The folder of run directories.
        controls: Some of `CONTROLS` and of the registry of baselines.
        how: Epochs, start, teacher and so on, in place of the study's `retrain` section.
        device: Where to train.
        progress: Called with each report.

    Returns:
        One row per method: `seeds`, `params`, `macs`, `relative_macs`, the mean and standard deviation over seeds of
        each metric on test, and of Δ against the single-task networks.

    Raises:
        ConfigError: If the run was begun with another study, or a supernet is needed and there is none.
        TrainingError: If a loss is not finite.
    """
    study = study.using(backbone=backbone)
    files = RunFiles(Path(runs) / study.config.name)
    with locked(files.lock("begin")):
        begin_run(study, files)
    how = how or study.config.retrain
    jobs = [
        _Job(study, how, entry, seed, files.retrained / entry.folder / str(seed))
        for entry in make_entries(study, architecture, controls, how)
        for seed in range(seeds or how.seeds)
    ]
    for done, job in enumerate(jobs):
        report = Progress("retrain", done, len(jobs), text=f"{job.entry.method}, seed {job.seed}")
        progress(report)
        with locked(files.lock(f"retrain-{job.entry.folder}-{job.seed}")):
            _train(job, device, report, progress)
    progress(Progress("retrain", len(jobs), len(jobs), text="done"))
    return _conclude(study, files, jobs, architecture if isinstance(architecture, Trial) else None)


@dataclass(frozen=True)
class _Job:
    """One training: a network with one seed, and where its files lie."""

    study: Study
    how: RetrainConfig
    entry: Entry
    seed: int
    folder: Path

    @property
    def settings(self) -> Settings:
        """Return what the loop needs; the default's are as they ever were, so that old checkpoints go on."""
        config = self.study.config
        plain = training_settings(
            config.training,
            config.data.augment,
            epochs=self.how.epochs,
            learning_rate=self.how.learning_rate,
        )
        differences = {key: value for key, value in self._variant().items() if key != "patience"}
        return replace(
            plain,
            patience=self.how.patience,
            keep_best=True,
            variant=json.dumps(differences, sort_keys=True) if differences else "",
        )

    @property
    def precision(self) -> str:
        """Return the precision of the arithmetic, in Lightning Fabric's words."""
        return self.how.precision or self.study.config.training.precision

    def identity(self) -> dict[str, object]:
        """Return what must agree for a stored training to stand for an asked one."""
        settings = self.settings
        return {
            "method": self.entry.method,
            "name": self.entry.folder,
            "seed": self.seed,
            "epochs": settings.epochs,
            "learning_rate": settings.learning_rate,
            "init": self.entry.origin,
            **self._variant(),
        }

    def _variant(self) -> dict[str, object]:
        distillation = self.entry.distillation
        own = {
            "trial": self.entry.trial,
            "teacher_weight": distillation.weight if distillation else None,
            "teacher_temperature": distillation.temperature if distillation else None,
            "patience": self.how.patience,
            "precision": None
            if self.precision == self.study.config.training.precision
            else self.precision,
        }
        return {key: value for key, value in own.items() if value is not None}

    def is_done(self) -> bool:
        """Return whether this very training is on disk already."""
        path = self.folder / "metrics.json"
        if not path.exists():
            return False
        stored, identity = read_metrics(path), self.identity()
        kept = "best_epoch" in stored  # without it the last epoch was kept, not the best
        return kept and all(stored.get(key) == identity.get(key) for key in _KEYS)

    def score(self, network: nn.Module) -> dict[str, float]:
        """Return the metrics on validation and what early stopping looks at, higher being better.

        That is the mean over the tasks of the accuracy, or of 1 less the absolute error in spreads of the target.
        """
        tasks = self.study.tasks
        values = evaluate(network, self.study.data.validation, tasks)
        shares = [task.quality(values[task.key]) for task in tasks]
        row = {f"validation/{name}": value for name, value in values.items()}
        return row | {SCORE: sum(shares) / len(shares)}

    def describe(self) -> None:
        """Write beside a found network what it needs to be used on other images."""
        if self.entry.architecture is not None:
            preparation = Preparation.of(self.study.data)
            write_json(self.folder / PREPARATION_FILE, preparation.to_json())


def _train(job: _Job, device: str, report: Progress, progress: ProgressCallback) -> None:
    if job.is_done():
        if not (job.folder / PREPARATION_FILE).exists():
            job.describe()
        return
    remove_leftovers(job.folder)
    start = time.perf_counter()
    root = derive_seed(job.study.config.search.seed, "retrain", job.seed)
    with fenced_random_state(derive_seed(root, "weights")):
        network = job.entry.make(derive_seed(root, "weights"))

    def on_epoch(history: History) -> None:
        write_rows(job.folder / "metrics.csv", history.rows)
        row = history.rows[-1]
        progress(replace(report, epoch=len(history.rows), epochs=job.settings.epochs, values=row))

    checkpoint = job.folder / "checkpoint.safetensors"
    history = fit(
        _method(job, network),
        job.study.data.train,
        job.settings,
        fabric=make_fabric(device, precision=job.precision),
        seed=derive_seed(root, "data"),
        validate=lambda: job.score(network),
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )
    _write(job, network, history, start)
    checkpoint.unlink(missing_ok=True)


def _method(job: _Job, network: nn.Module) -> Method:
    entry = job.entry
    if entry.make_teacher is None or entry.distillation is None:
        weighting = job.study.config.training.weighting
        alone = entry.method == SINGLE_TASK  # its networks share nothing to weigh against
        plain = SupervisedMethod(network, entry.tasks)
        return plain if alone else weighted(plain, entry.tasks, weighting)
    return DistilledMethod(network, entry.tasks, entry.make_teacher(), entry.distillation)


def _write(job: _Job, network: nn.Module, history: History, start: float) -> None:
    """Leave the network's files, its metrics last: they say that the training is done."""
    study = job.study
    save_module(job.folder / "network.safetensors", network)
    if job.entry.architecture is not None:
        job.entry.architecture.save(job.folder / "architecture.json")
    job.describe()
    content = {
        **job.identity(),
        "macs": macs_of(network, study),
        "params": count_params(network),
        "training_seconds": sum(row["seconds"] for row in history.rows),
        "validation": evaluate(network, study.data.validation, study.tasks),
        "test": evaluate(network, study.data.test, study.tasks),
        "seconds": time.perf_counter() - start,
        "epochs_trained": len(history.rows),
        "best_epoch": history.best_epoch,
    }
    write_json(job.folder / "metrics.json", content)


def _conclude(
    study: Study, files: RunFiles, jobs: Sequence[_Job], trial: Trial | None
) -> pd.DataFrame:
    """Write the tables of these trainings and of the found network's other variants of the same length."""
    rows = retrained_rows(files)
    seeds, last = {job.seed for job in jobs}, jobs[-1]
    found = last.entry
    kin = rows["name"].isin(variant_folders(found.folder))
    kin &= rows["epochs"] == last.settings.epochs
    kin &= rows["learning_rate"] == last.settings.learning_rate
    asked = rows["name"].isin({job.entry.folder for job in jobs})
    chosen = rows[(asked | kin) & rows["seed"].isin(seeds)]
    table = summarise(chosen, study.tasks)
    write_text(files.retrained / "table.csv", table.to_csv())
    paired = paired_differences(chosen, study.tasks, method=found.method)
    write_text(files.retrained / "paired.csv", paired.to_csv(index=False))
    _note_in_ledgers(study, files, chosen, found, trial)
    return table


def _note_in_ledgers(
    study: Study, files: RunFiles, rows: pd.DataFrame, found: Entry, own: Trial | None
) -> None:
    """Add the mean validation scores of what was found from scratch to the ledgers of all trials that found it.

    As long as a trial's architecture was not trained from scratch, its ledger has the variant's scores.
    """
    columns = [name for name in rows.columns if name.startswith("validation/")]
    scratch = rows[rows["method"] == FOUND]
    variant = rows[rows["method"] == found.method]
    references = load_references(files)
    for trial in Run.load(files.root).choices:
        mine = scratch[scratch["name"] == trial.architecture.hash]
        if mine.empty and own is not None and trial.files.root == own.files.root:
            mine = variant
        if not mine.empty:
            values = {
                name.removeprefix("validation/"): float(mine[name].mean()) for name in columns
            }
            if references is not None:
                values["delta"] = references.delta(values, study.tasks)
            write_json(trial.files.ledger, replace(trial.ledger, retrained=values).to_json())
