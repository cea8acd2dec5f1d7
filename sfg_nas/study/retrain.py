"""Retraining beside controls of the same epochs and seeds; the test part is opened here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from sfg_nas.architecture import Architecture
from sfg_nas.config import RetrainConfig
from sfg_nas.data.checks import check_integer
from sfg_nas.errors import within
from sfg_nas.study.controls import CONTROLS, EQUAL_MACS
from sfg_nas.study.equal_cost import NEAR
from sfg_nas.study.jobs import TrainingJob
from sfg_nas.study.layout import RunFiles, locked
from sfg_nas.study.own import OwnBackbone
from sfg_nas.study.progress import Progress, ProgressCallback, silent
from sfg_nas.study.provenance import begin_run
from sfg_nas.study.references import load_references
from sfg_nas.study.retrain_entries import FOUND, Entry, make_entries, variant_folders
from sfg_nas.study.run import Run, retrained_rows
from sfg_nas.study.shared import all_shared, shares_everything, trunk
from sfg_nas.study.study import Study
from sfg_nas.study.table import HARD_SHARING, paired_differences, summarise
from sfg_nas.study.trial_reader import Trial
from sfg_nas.training import History, write_json, write_text

LAST = "last.json"
"""The file that says which network the last retraining was of."""


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

    Each network keeps the weights of the epoch that was best on validation, and is scored with these; of single-task
    networks each has its own.
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
        ConfigError: If a number or a control is wrong, the run was begun with another study, or a supernet is needed and there is none.
        TrainingError: If a loss or a score is not finite; the message names the method and the seed.
    """
    if seeds is not None:
        seeds = check_integer("retrain: seeds", seeds, 1)
    study = study.using(backbone=backbone)
    files = RunFiles(Path(runs) / study.config.name)
    with locked(files.lock("begin")):
        begin_run(study, files)
    how = how or study.config.retrain
    jobs = [
        TrainingJob(study, how, entry, seed, files.retrained / entry.folder / str(seed))
        for entry in make_entries(study, architecture, controls, how)
        for seed in range(seeds or how.seeds)
    ]
    for done, job in enumerate(jobs):
        report = Progress("retrain", done, len(jobs), text=f"{job.entry.method}, seed {job.seed}")
        progress(report)
        lock = files.lock(f"retrain-{job.entry.folder}-{job.seed}")
        with locked(lock), within(f"retrain: {report.text}"):
            job.train(device, _said(job, report, progress))
    progress(Progress("retrain", len(jobs), len(jobs), text="done"))
    return _conclude(study, files, jobs, architecture if isinstance(architecture, Trial) else None)


def _said(
    job: TrainingJob, report: Progress, progress: ProgressCallback
) -> Callable[[History], None]:
    def say(history: History) -> None:
        progress(report.after(history.rows, job.settings.epochs))

    return say


def _conclude(
    study: Study, files: RunFiles, jobs: Sequence[TrainingJob], trial: Trial | None
) -> pd.DataFrame:
    """Write the tables of these trainings and of the found network's other variants with the same settings."""
    rows = retrained_rows(files)
    seeds, last = {job.seed for job in jobs}, jobs[-1]
    found = last.entry
    kin = rows["name"].isin(variant_folders(found.folder))
    kin &= _trained_as(rows, last)
    asked = rows["name"].isin({job.entry.folder for job in jobs})
    chosen = rows[(asked | kin) & rows["seed"].isin(seeds)]
    table = summarise(chosen, study.tasks)
    write_text(files.retrained / "table.csv", table.to_csv())
    paired = paired_differences(chosen, study.tasks, method=found.method)
    if not paired.empty:
        paired["same_network"] = paired["against"].isin(_same(study, found, table))
    write_text(files.retrained / "paired.csv", paired.to_csv(index=False))
    if found.architecture is not None:
        content = {"architecture": found.architecture.hash, "method": found.method}
        write_json(files.retrained / LAST, {**content, "seeds": len(seeds)})
    _note_in_ledgers(study, files, chosen, found, trial)
    return table


def _trained_as(rows: pd.DataFrame, job: TrainingJob) -> pd.Series:
    """Return which trainings had the settings of a job that all variants may share."""
    wanted, alike = job.identity(), pd.Series(data=True, index=rows.index)
    for key in ("epochs", "learning_rate", "patience", "precision"):
        had = rows[key] if key in rows else pd.Series(None, index=rows.index, dtype=object)
        alike &= had == wanted[key] if key in wanted else had.isna()
    return alike


def _same(study: Study, found: Entry, table: pd.DataFrame) -> list[str]:
    """Return the controls that are the found network itself: hard sharing at its cost, where it shares everything."""
    own = found.architecture
    if own is None or found.method != FOUND or not shares_everything(own):
        return []
    near = [n for n in (HARD_SHARING, EQUAL_MACS) if n in table.index]
    near = [n for n in near if abs(table["macs"].loc[n] / own.macs - 1) <= NEAR]
    return near if near and trunk(own) == trunk(all_shared(study)) else []


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
            means = {name.removeprefix("validation/"): float(mine[name].mean()) for name in columns}
            values = {name: mean for name, mean in means.items() if not math.isnan(mean)}
            if references is not None:
                values["delta"] = references.delta(values, study.tasks)
            write_json(trial.files.ledger, replace(trial.ledger, retrained=values).to_json())
