"""One training of a comparison: what it is, whether it is done, how it runs, and its scores."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sfg_nas.compare.content import read_content
from sfg_nas.compare.entrant import Entrant, Prepared, Setting
from sfg_nas.compare.plain import SINGLE_TASK
from sfg_nas.cost import count_params
from sfg_nas.data import Examples
from sfg_nas.errors import OutOfMemoryError, SfgNasError, TrainingError, enough_memory, within
from sfg_nas.files import read_json
from sfg_nas.study import locked
from sfg_nas.study.networks import macs_of
from sfg_nas.study.settings import training_settings
from sfg_nas.tasks import mean_quality
from sfg_nas.training import (
    SCORE,
    History,
    defined_scores,
    derive_seed,
    evaluate,
    fit,
    load_module,
    make_fabric,
    remove_leftovers,
    save_module,
    weighted,
    write_json,
    write_rows,
)

OWN, EQUAL, TUNING = "own", "equal-macs", "tuning"
_LATE = 0.75
"""The epoch at this share of all is scored on validation beside the last, to see how flat the curve is."""


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        entrant: Name of the method.
        scale: `own` (its own cost), `equal-macs`, or `tuning-<number>`.
        seed: Of the comparison.
        factor: On the method's width.
        learning_rate: Of the weights.
    """

    entrant: str
    scale: str
    seed: int
    factor: float
    learning_rate: float

    def folder(self, setting: Setting) -> Path:
        """Return where its files lie."""
        return setting.files.root / "compared" / self.entrant / self.scale / str(self.seed)

    def root(self, setting: Setting) -> int:
        """Return the root of its random streams: the same for all methods of a seed."""
        kind = TUNING if self.scale.startswith(TUNING) else "compare"
        return derive_seed(setting.study.config.search.seed, kind, self.seed)


def identity(job: Job, entrant: Entrant, setting: Setting) -> dict[str, object]:
    """Return what must agree for a stored training to stand for an asked one.

    Args:
        job: The training.
        entrant: Its method.
        setting: The comparison.
    """
    content = {
        "method": job.entrant,
        "scale": job.scale,
        "seed": job.seed,
        "factor": job.factor,
        "learning_rate": job.learning_rate,
        "epochs": setting.epochs,
        "options": dict(entrant.options),
    }
    return dict(json.loads(json.dumps(content)))


def stored(
    job: Job, entrant: Entrant, setting: Setting, name: str = "metrics"
) -> dict[str, object]:
    """Return the content of one of a job's files, empty if it is not there or of another training.

    Args:
        job: The training.
        entrant: Its method.
        setting: The comparison.
        name: `metrics`, `test` or `failed`.
    """
    content = read_content(job.folder(setting) / f"{name}.json", name)
    return content if content.get("identity") == identity(job, entrant, setting) else {}


def run_job(
    job: Job,
    entrant: Entrant,
    setting: Setting,
    *,
    device: str,
    on_epoch: Callable[[History], None],
) -> None:
    """Train, or go on training, and leave network and validation scores; the test part stays closed.

    A training that fails leaves its reason instead; one that only lacked memory is tried again by the next call.

    Args:
        job: The training.
        entrant: Its method.
        setting: The comparison.
        device: Where to train.
        on_epoch: Called after each epoch.
    """
    with locked(setting.files.lock(f"compare-{job.entrant}-{job.scale}-{job.seed}")):
        folder = job.folder(setting)
        if stored(job, entrant, setting, "failed").get("again"):
            (folder / "failed.json").unlink()
        if stored(job, entrant, setting) or stored(job, entrant, setting, "failed"):
            return
        remove_leftovers(folder)
        _forget_other(job, entrant, setting)
        try:
            _train(job, entrant, setting, device, on_epoch)
        except SfgNasError as error:
            _note_failure(job, entrant, setting, error)


def _note_failure(job: Job, entrant: Entrant, setting: Setting, error: SfgNasError) -> None:
    own, again = identity(job, entrant, setting), isinstance(error, OutOfMemoryError)
    content = {"identity": own, "reason": str(error), "again": again}
    write_json(job.folder(setting) / "failed.json", content)


def _forget_other(job: Job, entrant: Entrant, setting: Setting) -> None:
    """Remove the files of another training that lie in a job's folder."""
    folder, own = job.folder(setting), identity(job, entrant, setting)
    begun = folder / "begun.json"
    if begun.exists() and read_json(begun, what="what was begun") != own:
        for path in folder.glob("*"):
            path.unlink()
    if not begun.exists():
        write_json(begun, own)


@enough_memory("training")
def _train(
    job: Job,
    entrant: Entrant,
    setting: Setting,
    device: str,
    on_epoch: Callable[[History], None],
) -> None:
    study, folder = setting.study, job.folder(setting)
    start = time.perf_counter()
    prepared = entrant.prepare(job.factor, seed=job.root(setting), learning_rate=job.learning_rate)
    method = prepared.method
    if job.entrant != SINGLE_TASK:  # its networks share nothing to weigh against
        method = weighted(method, study.tasks, study.config.training.weighting)
    scored, epochs_done = {int(_LATE * setting.epochs), setting.epochs}, 0

    def score() -> dict[str, float]:
        nonlocal epochs_done
        if epochs_done + 1 not in scored:
            return {}
        values = evaluate(method.module, study.data.validation, study.tasks)
        row = {f"validation/{name}": value for name, value in values.items()}
        return row | {SCORE: mean_quality(values, study.tasks)}

    def keep(history: History) -> None:
        nonlocal epochs_done
        epochs_done = len(history.rows)
        write_rows(folder / "metrics.csv", history.rows)
        on_epoch(history)

    checkpoint = folder / "checkpoint.safetensors"
    history = fit(
        method,
        study.data.train,
        training_settings(
            study.config.training,
            study.config.data.augment,
            epochs=setting.epochs,
            learning_rate=job.learning_rate,
        ),
        fabric=make_fabric(device, precision=study.config.training.precision),
        seed=derive_seed(job.root(setting), "data"),
        validate=score,
        checkpoint=checkpoint,
        on_epoch=keep,
    )
    _finish(job, entrant, setting, prepared, history, start)
    checkpoint.unlink(missing_ok=True)


def trained(job: Job, entrant: Entrant, setting: Setting) -> Prepared:
    """Return a method with the weights that a finished training left.

    Args:
        job: The training.
        entrant: Its method.
        setting: The comparison.
    """
    prepared = entrant.prepare(job.factor, seed=job.root(setting), learning_rate=job.learning_rate)
    file, do = job.folder(setting) / "network.safetensors", "remove its folder: it is trained anew"
    load_module(file, prepared.method.module, do=do)
    return prepared


def _finish(
    job: Job,
    entrant: Entrant,
    setting: Setting,
    prepared: Prepared,
    history: History,
    start: float,
) -> None:
    """Leave the network, and last the scores: they say that the training is done."""
    folder = job.folder(setting)
    save_module(folder / "network.safetensors", prepared.method.module)
    if prepared.architecture is not None:
        prepared.architecture.save(folder / "architecture.json")
    with within("after the last epoch"):
        readings = read_out(prepared, setting, setting.study.data.validation)
    content = {
        "identity": identity(job, entrant, setting),
        "training_seconds": sum(row["seconds"] for row in history.rows),
        "flatness": _flatness(history),
        "architecture": None if prepared.architecture is None else prepared.architecture.hash,
        "readings": readings,
        "seconds": time.perf_counter() - start,
    }
    write_json(folder / "metrics.json", content)


def _flatness(history: History) -> float | None:
    """Return how much the validation score still rose from the third quarter's end to the last epoch."""
    scores = [row[SCORE] for row in history.rows if SCORE in row]
    return scores[-1] - scores[0] if len(scores) > 1 else None


def read_out(prepared: Prepared, setting: Setting, images: Examples) -> list[dict[str, object]]:
    """Return for each way of predicting its label, costs and scores.

    Args:
        prepared: Trained.
        setting: The comparison.
        images: The part to score.
    """
    study, found = setting.study, list[dict[str, object]]()
    prepared.method.before_step(1.0)  # soft masks as they end, on validation and after loading
    for reading in prepared.readings:
        network = reading.read(prepared.method.module)
        scores = defined_scores(network, images, study.tasks)
        module = prepared.method.module
        macs = macs_of(network, study) if reading.macs is None else reading.macs(module)
        found.append(
            {
                "label": reading.label,
                "macs": macs,
                "params": count_params(network),
                "scores": scores,
            }
        )
    return found


def test_job(job: Job, entrant: Entrant, setting: Setting, *, device: str) -> None:
    """Score a finished training on the test part, once; where that fails it leaves the reason.

    Args:
        job: The training.
        entrant: Its method.
        setting: The comparison.
        device: Where to compute.
    """
    known = {name: stored(job, entrant, setting, name) for name in ("metrics", "test", "failed")}
    if known["test"] or known["failed"] or not known["metrics"]:
        return
    prepared = trained(job, entrant, setting)
    prepared.method.module.to(device)
    try:
        with within("on the test part"):
            readings = read_out(prepared, setting, setting.study.data.test)
    except TrainingError as error:
        _note_failure(job, entrant, setting, error)
        return
    content = {"identity": identity(job, entrant, setting), "readings": readings}
    write_json(job.folder(setting) / "test.json", content)
