"""Retraining from scratch, beside controls of the same epochs and seeds; only here the test part is opened."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from torch import nn

from sfg_nas.architecture import Architecture
from sfg_nas.baselines import BASELINES
from sfg_nas.cost import count_params
from sfg_nas.fixed import build_network
from sfg_nas.study.controls import CONTROLS, EQUAL_MACS, equal_macs_backbone
from sfg_nas.study.layout import RunFiles, locked
from sfg_nas.study.progress import Progress, ProgressCallback, silent
from sfg_nas.study.provenance import begin_run
from sfg_nas.study.references import macs_of
from sfg_nas.study.run import Run, Trial, retrained_rows
from sfg_nas.study.study import Study, training_settings
from sfg_nas.study.table import paired_differences, summarise
from sfg_nas.tasks import Task
from sfg_nas.training import (
    History,
    Settings,
    SupervisedMethod,
    derive_seed,
    evaluate,
    fenced_random_state,
    fit,
    load_module,
    make_fabric,
    remove_leftovers,
    save_module,
    write_json,
    write_rows,
    write_text,
)

FOUND = "found"


@dataclass(frozen=True)
class _Entry:
    """One network to train with several seeds.

    Attributes:
        method: Its name in tables.
        folder: Its folder below `retrained`.
        make: Makes it, with weights from torch's global random state.
        tasks: The tasks with the weights of their losses.
        architecture: Of a found network.
        origin: What its weights start from, for the record.
    """

    method: str
    folder: str
    make: Callable[[int], nn.Module]
    tasks: tuple[Task, ...]
    architecture: Architecture | None = None
    origin: str = "scratch"


def retrain(
    study: Study,
    architecture: Architecture | Trial,
    seeds: int | None = None,
    *,
    runs: Path = Path("runs"),
    controls: Sequence[str] = CONTROLS,
    init: str | None = None,
    device: str = "cpu",
    progress: ProgressCallback = silent,
) -> pd.DataFrame:
    """Train an architecture and its controls, score them on the test part, and return their table.

    What is there already with the same settings is not trained again; interrupted anywhere, the same call goes on.

    Args:
        study: From `load_study`; its backbone is that of the controls.
        architecture: The found one, or the trial that found it.
        seeds: Independent trainings of each network; None for the study's number.
        runs: The folder of run directories.
        controls: Some of `CONTROLS` and of the registry of baselines.
        init: `scratch` or `warm` (from the trial's supernet); None for the study's.
        device: Where to train.
        progress: Called with each report.

    Returns:
        One row per method: `seeds`, `params`, `macs`, `relative_macs`, the mean and standard deviation over seeds of
        each metric on test, and of Δ against the single-task networks.

    Raises:
        ConfigError: If the run was begun with another study, or a warm start has no supernet.
        TrainingError: If a loss is not finite.
    """
    files = RunFiles(runs / study.config.name)
    with locked(files.lock("begin")):
        begin_run(study, files)
    count = seeds or study.config.retrain.seeds
    entries = _entries(study, architecture, controls, init or study.config.retrain.init)
    jobs = [(entry, seed) for entry in entries for seed in range(count)]
    for done, (entry, seed) in enumerate(jobs):
        report = Progress("retrain", done, len(jobs), text=f"{entry.method}, seed {seed}")
        progress(report)
        with locked(files.lock(f"retrain-{entry.folder}-{seed}")):
            _train(study, files, entry, seed, device, report, progress)
    progress(Progress("retrain", len(jobs), len(jobs), text="done"))
    return _conclude(study, files, entries, count)


def _entries(
    study: Study, architecture: Architecture | Trial, controls: Sequence[str], init: str
) -> list[_Entry]:
    found = architecture.architecture if isinstance(architecture, Trial) else architecture
    entries = [_control(study, name, found) for name in controls]
    return [
        *[entry for entry in entries if entry is not None],
        _found(study, architecture, found, init),
    ]


def _control(study: Study, name: str, found: Architecture) -> _Entry | None:
    config = study.config.backbone
    folder = name
    tasks = study.tasks
    kind = name
    if name == EQUAL_MACS:
        fitted = equal_macs_backbone(study, found.macs)
        if fitted is None:
            return None
        config, kind = fitted, "hard-sharing"
        folder = f"hard-sharing-width-{config.width:.4f}"
    if kind == "single-task":
        tasks = tuple(replace(task, weight=1.0) for task in tasks)

    def make(seed: int) -> nn.Module:
        del seed
        backbone = BASELINES[kind]
        return backbone(lambda: study.make_backbone(config), tasks, study.data.image_shape)

    return _Entry(name, folder, make, tasks)


def _found(
    study: Study, architecture: Architecture | Trial, found: Architecture, init: str
) -> _Entry:
    supernet = None
    if init == "warm" and isinstance(architecture, Trial):
        supernet = study.make_supernet(study.at(architecture.candidate), seed=0)
        load_module(architecture.files.supernet, supernet)
        supernet.harden(architecture.allocation)

    def make(seed: int) -> nn.Module:
        return build_network(found, weights=supernet, seed=seed)

    origin = "scratch" if supernet is None else "warm"
    return _Entry(FOUND, found.hash, make, study.tasks, found, origin)


def _settings(study: Study) -> Settings:
    section = study.config.retrain
    return training_settings(
        study.config.training,
        study.config.data.augment,
        epochs=section.epochs,
        learning_rate=section.learning_rate,
    )


def _train(
    study: Study,
    files: RunFiles,
    entry: _Entry,
    seed: int,
    device: str,
    report: Progress,
    progress: ProgressCallback,
) -> None:
    settings = _settings(study)
    folder = files.retrained / entry.folder / str(seed)
    if _identity(study, entry, seed) == _stored_identity(folder):
        return
    remove_leftovers(folder)
    start = time.perf_counter()
    root = derive_seed(study.config.search.seed, "retrain", seed)
    with fenced_random_state(derive_seed(root, "weights")):
        network = entry.make(derive_seed(root, "weights"))

    def on_epoch(history: History) -> None:
        write_rows(folder / "metrics.csv", history.rows)
        row = history.rows[-1]
        progress(replace(report, epoch=len(history.rows), epochs=settings.epochs, values=row))

    checkpoint = folder / "checkpoint.safetensors"
    history = fit(
        SupervisedMethod(network, entry.tasks),
        study.data.train,
        settings,
        fabric=make_fabric(device, precision=study.config.training.precision),
        seed=derive_seed(root, "data"),
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )
    save_module(folder / "network.safetensors", network)
    if entry.architecture is not None:
        entry.architecture.save(folder / "architecture.json")
    content = {
        **_identity(study, entry, seed),
        "macs": macs_of(network, study),
        "params": count_params(network),
        "training_seconds": sum(row["seconds"] for row in history.rows),
        "validation": evaluate(network, study.data.validation, study.tasks),
        "test": evaluate(network, study.data.test, study.tasks),
        "seconds": time.perf_counter() - start,
    }
    write_json(folder / "metrics.json", content)
    checkpoint.unlink(missing_ok=True)


def _identity(study: Study, entry: _Entry, seed: int) -> dict[str, object]:
    """Return what must agree for a stored training to stand for an asked one."""
    settings = _settings(study)
    return {
        "method": entry.method,
        "name": entry.folder,
        "seed": seed,
        "epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "init": entry.origin,
    }


def _stored_identity(folder: Path) -> dict[str, object] | None:
    path = folder / "metrics.json"
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    keys = ("method", "name", "seed", "epochs", "learning_rate", "init")
    return {key: content[key] for key in keys}


def _conclude(study: Study, files: RunFiles, entries: Sequence[_Entry], count: int) -> pd.DataFrame:
    rows = retrained_rows(files)
    folders = [entry.folder for entry in entries]
    chosen = rows[rows["name"].isin(folders) & (rows["seed"] < count)]
    table = summarise(chosen, study.tasks)
    write_text(files.retrained / "table.csv", table.to_csv())
    paired = paired_differences(chosen, study.tasks, method=FOUND)
    write_text(files.retrained / "paired.csv", paired.to_csv(index=False))
    _note_in_ledgers(files, chosen)
    return table


def _note_in_ledgers(files: RunFiles, rows: pd.DataFrame) -> None:
    """Add the retrained networks' mean validation scores to the ledgers of the trials that found them."""
    found = rows[rows["method"] == FOUND]
    columns = [name for name in rows.columns if name.startswith("validation/")]
    for trial in Run.load(files.root).complete:
        mine = found[found["name"] == trial.architecture.hash]
        if not mine.empty:
            values = {
                name.removeprefix("validation/"): float(mine[name].mean()) for name in columns
            }
            write_json(trial.files.ledger, replace(trial.ledger, retrained=values).to_json())
