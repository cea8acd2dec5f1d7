"""Retraining beside controls: the table, variants, resuming, early stop, precision."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from sfg_nas.config import RetrainConfig
from sfg_nas.data import PREPARATION_FILE, DataBundle, Preparation, Splits, bundle_from_arrays
from sfg_nas.errors import ConfigError, TrainingError
from sfg_nas.fixed import build_network
from sfg_nas.study import Progress, Run, Study, load_study, retrain, search
from sfg_nas.study.controls import EQUAL_MACS
from sfg_nas.study.jobs import VARIANT_KEYS, TrainingJob
from sfg_nas.study.retrain_entries import make_entries
from sfg_nas.tasks import Task
from sfg_nas.training import SCORE, evaluate, load_module, load_tensors
from tests.study.conftest import CONTENT, make_data, two_layers
from tests.study.test_references import never_right

Make = Callable[..., Study]


@pytest.fixture
def searched(make_study: Make, tmp_path: Path) -> tuple[Study, Run]:
    study = make_study()
    return study, search(study, runs=tmp_path, trials=1)


def test_the_table_has_the_controls_at_the_same_seeds(
    searched: tuple[Study, Run], tmp_path: Path
) -> None:
    study, run = searched
    table = retrain(study, run.best.architecture, runs=tmp_path)
    assert {"single-task", "hard-sharing", "found"} <= set(table.index)
    assert set(table["seeds"]) == {2}
    assert table.loc["hard-sharing", "relative_macs"] == 1.0
    assert table.loc["found", "macs"] == run.best.architecture.macs
    assert table.loc["found", "params"] == run.best.architecture.params
    assert table.loc["single-task", "delta"] == pytest.approx(0, abs=1e-9)
    if EQUAL_MACS in table.index:
        assert table.loc[EQUAL_MACS, "macs"] == pytest.approx(table.loc["found", "macs"], rel=0.1)
    paired = pd.read_csv(run.path / "retrained" / "paired.csv")
    assert {"hard-sharing", "single-task"} <= set(paired["against"])

    folder = run.path / "retrained" / run.best.architecture.hash / "0"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "network.safetensors",
        "architecture.json",
        "metrics.json",
        "metrics.csv",
        PREPARATION_FILE,
    }
    network = build_network(run.best.architecture)
    load_module(folder / "network.safetensors", network)
    row = run.retrained().query("method == 'found' and seed == 0").iloc[0]
    scores = evaluate(network, study.data.test, study.tasks)
    assert scores["level/mae"] == pytest.approx(row["test/level/mae"])
    retrained = Run.load(run.path).best.ledger.retrained
    assert retrained is not None
    assert "level/mae" in retrained


def test_it_resumes_and_trains_nothing_twice(searched: tuple[Study, Run], tmp_path: Path) -> None:
    study, run = searched
    architecture = run.best.architecture

    def interrupt(report: Progress) -> None:
        if report.epoch and report.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retrain(study, architecture, runs=tmp_path, progress=interrupt)
    reports: list[Progress] = []
    table = retrain(study, architecture, runs=tmp_path, progress=reports.append)
    again: list[Progress] = []
    same = retrain(study, architecture, runs=tmp_path, progress=again.append)
    pd.testing.assert_frame_equal(table, same)
    assert not [report for report in again if report.epoch]
    assert not [report for report in reports if report.epoch and report.done < 2]


def test_seeds_differ_and_repeat(searched: tuple[Study, Run], tmp_path: Path) -> None:
    study, run = searched
    retrain(study, run.best, runs=tmp_path, controls=())
    rows = run.retrained()
    assert rows["test/level/mae"].nunique() == 2
    assert "test/delta" not in rows


def test_a_training_that_diverges_is_named_and_a_lower_rate_goes_on(
    searched: tuple[Study, Run], tmp_path: Path
) -> None:
    study, run = searched
    fast = section(study, learning_rate=1e30)
    words = r"^retrain: hard-sharing, seed 0: training: epoch 1, step 1: .* lower the learning rate"
    with pytest.raises(TrainingError, match=words):
        retrain(study, run.best, 1, runs=tmp_path, controls=["hard-sharing"], how=fast)
    slow = section(study, learning_rate=0.01)
    assert len(retrain(study, run.best, 1, runs=tmp_path, controls=["hard-sharing"], how=slow)) == 2


def test_the_part_whose_score_is_not_finite_is_named(
    searched: tuple[Study, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, run = searched

    def fail(network: object, images: object, tasks: object) -> dict[str, float]:
        del network, tasks
        if images is study.data.test:
            raise TrainingError("evaluation of task level: every output must be finite")
        return {"level/mae": 1.0, "bright/accuracy": 0.5}

    monkeypatch.setattr("sfg_nas.study.jobs.defined_scores", fail)
    words = "retrain: found, seed 0: after training, on the test part: evaluation of task level"
    with pytest.raises(TrainingError, match=f"^{words}"):
        retrain(study, run.best, 1, runs=tmp_path, controls=())


def test_without_a_reference_other_than_0_the_table_has_no_delta(
    make_study: Make, tmp_path: Path
) -> None:
    data = never_right(slice(88, 112))
    study = make_study({"training.epochs": 4, "retrain.epochs": 4}, data=data)
    run = search(study, runs=tmp_path, trials=1)
    table = retrain(study, run.best, 1, runs=tmp_path)
    assert table.loc["single-task", "bright/accuracy"] == 0
    assert "delta" not in table
    assert {"single-task", "hard-sharing", "found"} <= set(table.index)


def test_metrics_that_are_not_defined_are_left_out(
    make_study: Make, tmp_path: Path, tiny_data: DataBundle
) -> None:
    images = tiny_data.train.images  # type: ignore[attr-defined]
    labels = np.stack([images[:, 0].astype(np.float32), np.zeros((112, 6, 6))], axis=1)
    task = Task("depth", "dense-regression", classes=("near", "far"))
    rows = np.arange(112)
    splits = Splits(rows[:64], rows[64:88], rows[88:])
    mean = images.mean((1, 2, 3))
    data = bundle_from_arrays(
        images,
        {"depth": labels, "level": mean},
        [task, Task("level", "regression")],
        splits=splits,
        name="tiny",
    )
    study = make_study(data=data)
    run = search(study, runs=tmp_path, trials=1)
    assert run.best.ledger.steps["fixed"].keys() >= {"depth/mae", "depth/mae/near"}
    assert "depth/mae/far" not in run.best.ledger.steps["fixed"]
    table = retrain(study, run.best, 1, runs=tmp_path, controls=["hard-sharing"])
    assert set(table.index) == {"hard-sharing", "found"}
    assert "test/depth/mae/far" not in run.retrained()


def section(study: Study, **changes: object) -> RetrainConfig:
    return study.config.retrain.model_copy(update=changes)


def weights(folder: Path) -> dict[str, Tensor]:
    return dict(load_tensors(folder / "network.safetensors").tensors)


def same(one: Path, other: Path) -> bool:
    left, right = weights(one), weights(other)
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_variants_are_kept_apart(searched: tuple[Study, Run], tmp_path: Path) -> None:
    study, run = searched
    cold = retrain(study, run.best, 1, runs=tmp_path, controls=())
    assert set(cold.index) == {"found"}
    warm = section(study, init="warm")
    table = retrain(study, run.best, 1, runs=tmp_path, controls=(), how=warm)
    assert set(table.index) == {"found", "found, warm"}
    # One that may have stopped earlier is none of these.
    shorter = retrain(
        study, run.best, 1, runs=tmp_path, controls=(), how=section(study, patience=1)
    )
    assert set(shorter.index) == {"found"}
    retrain(study, run.best, 1, runs=tmp_path, controls=())
    both = section(study, init="warm", teacher=True)
    table = retrain(study, run.best, 1, runs=tmp_path, controls=(), how=both)
    assert set(table.index) == {"found", "found, warm", "found, warm, with teacher"}
    assert table["level/mae"].nunique() == 3
    found = run.best.architecture.hash
    names = {path.parent.name for path in (run.path / "retrained").glob("*/0")}
    assert names == {found, f"{found}-warm", f"{found}-warm-teacher"}
    # What the plain training left is not trained again and stands for the trial.
    again: list[Progress] = []
    retrain(study, run.best, 1, runs=tmp_path, controls=(), progress=again.append)
    assert not [report for report in again if report.epoch]
    ledger = Run.load(run.path).best.ledger.retrained
    row = run.retrained().query("method == 'found'").iloc[0]
    assert ledger is not None
    assert ledger["level/mae"] == pytest.approx(row["validation/level/mae"])


def test_the_ledger_has_a_variant_where_nothing_was_trained_from_scratch(
    searched: tuple[Study, Run], tmp_path: Path
) -> None:
    study, run = searched
    retrain(study, run.best, 1, runs=tmp_path, controls=(), how=section(study, teacher=True))
    row = run.retrained().iloc[0]
    assert (row["method"], row["teacher_weight"], row["trial"]) == ("found, with teacher", 0.5, 0)
    ledger = Run.load(run.path).best.ledger.retrained
    assert ledger is not None
    assert ledger["level/mae"] == pytest.approx(row["validation/level/mae"])


def test_an_old_record_stands_and_gets_what_predicting_needs(
    searched: tuple[Study, Run], tmp_path: Path
) -> None:
    study, run = searched
    retrain(study, run.best, 1, runs=tmp_path, controls=())
    folder = run.path / "retrained" / run.best.architecture.hash / "0"
    stored = json.loads((folder / "metrics.json").read_text())
    assert set(stored) & set(VARIANT_KEYS) == set()
    (folder / PREPARATION_FILE).unlink()
    before = (folder / "network.safetensors").stat().st_mtime_ns
    retrain(study, run.best, 1, runs=tmp_path, controls=())
    assert (folder / "network.safetensors").stat().st_mtime_ns == before
    assert Preparation.load(folder / PREPARATION_FILE) == Preparation.of(study.data)


def test_a_checkpoint_that_a_finished_training_left_is_not_in_the_way_of_other_settings(
    searched: tuple[Study, Run], tmp_path: Path
) -> None:
    """Who is killed between the scores and the removal of the checkpoint leaves both."""
    study, run = searched

    def keep(_: Progress) -> None:
        for path in (run.path / "retrained").glob("*/0/checkpoint*"):
            shutil.copy(path, tmp_path / "kept")

    retrain(study, run.best, 1, runs=tmp_path, controls=(), progress=keep)
    (folder,) = (run.path / "retrained").glob("*/0")
    shutil.copy(tmp_path / "kept", folder / "checkpoint.safetensors")
    retrain(study, run.best, 1, runs=tmp_path, controls=())
    assert not list(folder.glob("checkpoint*"))
    longer = section(study, epochs=2)
    retrain(study, run.best, 1, runs=tmp_path, controls=(), how=longer)


@pytest.mark.parametrize("changes", [{}, {"init": "warm", "teacher": True, "patience": 2}])
def test_an_interrupted_training_ends_as_an_uninterrupted_one(
    searched: tuple[Study, Run], tmp_path: Path, changes: dict[str, object]
) -> None:
    study, run = searched
    how = section(study, epochs=3, **changes)

    def interrupt(report: Progress) -> None:
        if report.epoch == 2:
            raise KeyboardInterrupt

    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy / run.path.name)
    with pytest.raises(KeyboardInterrupt):
        retrain(study, run.best, 1, runs=tmp_path, controls=(), how=how, progress=interrupt)
    retrain(study, run.best, 1, runs=tmp_path, controls=(), how=how)
    retrain(study, run.best, 1, runs=copy, controls=(), how=how)
    (folder,) = (run.path / "retrained").glob("*/0")
    assert same(folder, copy / folder.relative_to(tmp_path))


def test_a_checkpoint_of_another_teacher_is_refused(
    searched: tuple[Study, Run], tmp_path: Path
) -> None:
    study, run = searched

    def interrupt(report: Progress) -> None:
        if report.epoch:
            raise KeyboardInterrupt

    weak, strong = (section(study, epochs=2, teacher=True, teacher_weight=w) for w in (0.1, 0.9))
    with pytest.raises(KeyboardInterrupt):
        retrain(study, run.best, 1, runs=tmp_path, controls=(), how=weak, progress=interrupt)
    with pytest.raises(TrainingError, match="teacher_weight"):
        retrain(study, run.best, 1, runs=tmp_path, controls=(), how=strong)


@pytest.mark.parametrize("patience", [None, 1])
def test_the_best_epoch_is_kept_and_scored(
    searched: tuple[Study, Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    patience: int | None,
) -> None:
    study, run = searched
    scores = iter([0.1, 0.3, 0.2, 0.25, 0.1, 0.2])
    score = TrainingJob.score
    monkeypatch.setattr(TrainingJob, "score", lambda *given: score(*given) | {SCORE: next(scores)})
    how = section(study, epochs=6, patience=patience, learning_rate=0.3)
    retrain(study, run.best, 1, runs=tmp_path, controls=(), how=how)
    folder = run.path / "retrained" / run.best.architecture.hash / "0"
    epochs = pd.read_csv(folder / "metrics.csv")
    stored = json.loads((folder / "metrics.json").read_text())
    best = epochs.iloc[1]
    assert stored["best_epoch"] == best["epoch"] == 2
    assert stored["epochs_trained"] == len(epochs) == (6 if patience is None else 3)
    kept = build_network(run.best.architecture)
    load_module(folder / "network.safetensors", kept)
    for part in ("validation", "test"):
        found = evaluate(kept, getattr(study.data, part), study.tasks)
        assert stored[part] == pytest.approx(found)
    for name, value in stored["validation"].items():
        assert value == pytest.approx(best[f"validation/{name}"])


def test_each_single_task_network_keeps_its_own_best_epoch(
    searched: tuple[Study, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, run = searched
    given = iter([(0.1, 0.9), (0.2, 0.8), (0.5, 0.7), (0.4, 0.6), (0.3, 0.5)])
    score = TrainingJob.score

    def scored(job: TrainingJob, network: nn.Module) -> dict[str, float]:
        row = score(job, network)
        if job.entry.method == "single-task":
            row |= dict(zip(("score/bright", "score/level"), next(given), strict=True))
        return row

    monkeypatch.setattr(TrainingJob, "score", scored)
    how = section(study, epochs=5, patience=2, learning_rate=0.3)
    retrain(study, run.best, 1, runs=tmp_path, controls=("single-task",), how=how)
    folder = run.path / "retrained" / "single-task" / "0"
    epochs = pd.read_csv(folder / "metrics.csv")
    stored = json.loads((folder / "metrics.json").read_text())
    assert stored["best_epochs"] == {"score/bright": 3, "score/level": 1}
    assert (
        stored["epochs_trained"] == len(epochs) == 5
    )  # two after the last that any became better in
    kept = pd.concat([epochs.filter(like="bright/").iloc[2], epochs.filter(like="level/").iloc[0]])
    for name, value in stored["validation"].items():
        assert value == pytest.approx(kept[f"validation/{name}"])


def be_killed(content: dict[str, Any], runs: Path, epoch: int, how: RetrainConfig) -> None:
    """Retrain until an epoch is over: the target of a process that is killed then."""
    torch.set_num_threads(1)
    del content["search"]["space"]["training.learning_rate"]
    changes = {"training.learning_rate": 0.01}
    study = load_study(content, changes, backbone=two_layers, data=make_data())

    def kill(report: Progress) -> None:
        if report.epoch == epoch:
            os.kill(os.getpid(), signal.SIGKILL)

    best = Run.load(runs / study.config.name).best
    retrain(study, best, 1, runs=runs, controls=(), how=how, progress=kill)


def test_a_killed_training_ends_as_one_that_was_not(
    searched: tuple[Study, Run], tmp_path: Path
) -> None:
    study, run = searched
    how = section(study, epochs=3, init="warm", learning_rate=0.3)
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy / run.path.name)
    retrain(study, Run.load(copy / run.path.name).best, 1, runs=copy, controls=(), how=how)
    for epoch in (1, 2):
        process = multiprocessing.get_context("spawn").Process(
            target=be_killed, args=(deepcopy(CONTENT), tmp_path, epoch, how)
        )
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    retrain(study, run.best, 1, runs=tmp_path, controls=(), how=how)
    (folder,) = (run.path / "retrained").glob("*-warm/0")
    assert same(folder, copy / folder.relative_to(tmp_path))
    stored, other = (
        json.loads((place / "metrics.json").read_text())
        for place in (folder, copy / folder.relative_to(tmp_path))
    )
    for key in ("best_epoch", "epochs_trained", "validation", "test"):
        assert stored[key] == other[key]


def test_half_precision_is_this_training_s_own(searched: tuple[Study, Run], tmp_path: Path) -> None:
    study, run = searched
    before = run.files.study.read_text()
    retrain(study, run.best, 1, runs=tmp_path, controls=())
    folder = run.path / "retrained" / run.best.architecture.hash / "0"
    full = weights(folder)
    how = section(study, precision="bf16-mixed")
    retrain(study, run.best, 1, runs=tmp_path, controls=(), how=how)
    half = weights(folder)
    assert all(value.dtype == full[name].dtype for name, value in half.items())
    assert any(not torch.equal(value, full[name]) for name, value in half.items())
    assert run.retrained()["precision"].tolist() == ["bf16-mixed"]
    assert run.files.study.read_text() == before


def test_gradients_are_not_aggregated_under_a_precision_that_scales_them(
    searched: tuple[Study, Run], tmp_path: Path
) -> None:
    study, run = searched
    training = study.config.training.model_copy(update={"weighting": "torchjd:Sum"})
    other = replace(study, config=study.config.model_copy(update={"training": training}))
    how = section(study, precision="16-mixed")
    entry = make_entries(study, run.best, (), how)[0]
    TrainingJob(study, how, entry, 0, tmp_path)
    with pytest.raises(ConfigError, match=r"retrain\.precision: .*torchjd:Sum; take 32 or bf16"):
        TrainingJob(other, how, entry, 0, tmp_path)


def test_the_study_is_left_as_it_was_by_a_variant(
    searched: tuple[Study, Run], tmp_path: Path
) -> None:
    study, run = searched
    before = run.files.study.read_text()
    retrain(study, run.best, 1, runs=tmp_path, controls=(), how=section(study, teacher=True))
    assert run.files.study.read_text() == before
