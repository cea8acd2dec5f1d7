"""The outer loop on a tiny study: what it leaves, that it resumes, and what it does with failures."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from sfg_nas.data import DataBundle, ImageSet
from sfg_nas.data.images import Batch
from sfg_nas.errors import ArchitectureError, ConfigError, TrainingError
from sfg_nas.study import Progress, Run, Study, load_study, search
from sfg_nas.training import SupernetMethod
from tests.study.conftest import CONTENT, make_data, two_layers

Make = Callable[..., Study]
NOT_REPEATABLE = ("seconds",)


class Sealed(ImageSet):
    """A test part that no one may look at."""

    def batches(self, *args: object, **kwargs: object) -> Iterator[Batch]:  # type: ignore[override]
        del args, kwargs
        raise AssertionError("the test part was opened")


def frozen(run: Run) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, list[str], list[str]]:
    """Return all that must not depend on interruptions."""
    return (
        run.trials().drop(columns=["seconds"], errors="ignore"),
        run.epochs().drop(columns=["seconds"]),
        run.probabilities(),
        [trial.architecture.hash for trial in run.complete],
        [trial.allocation.to_json() for trial in run.complete],
    )


def assert_same(one: Run, other: Run) -> None:
    for a, b in zip(frozen(one), frozen(other), strict=True):
        if isinstance(a, pd.DataFrame):
            pd.testing.assert_frame_equal(a, b, check_exact=True)
        else:
            assert a == b
    assert one.references() == other.references()


def assert_same_tensors(one: Path, other: Path) -> None:
    """Compare two files of weights bit by bit; the order of their names is the library's own."""
    wanted, found = load_file(one), load_file(other)
    assert wanted.keys() == found.keys()
    for name, value in wanted.items():
        assert torch.equal(value, found[name]), name


def test_a_search_leaves_what_the_contract_says(make_study: Make, tmp_path: Path) -> None:
    study = make_study()
    sealed = Sealed(**vars(study.data.test))
    study = replace(study, data=replace(study.data, test=sealed))
    reports: list[Progress] = []
    run = search(study, runs=tmp_path, progress=reports.append)

    names = {path.relative_to(run.path).as_posix() for path in run.path.rglob("*")}
    files = ("candidate.json", "metrics.csv", "probabilities.npz", "allocation.json")
    files += ("architecture.json", "supernet.safetensors", "ledger.json")
    assert {"study.yaml", "study.db", "references.json"} <= names
    assert {f"trials/{n}/{file}" for n in range(3) for file in files} <= names
    assert not [name for name in names if "checkpoint" in name or name.endswith((".part", ".pkl"))]

    trials = run.trials()
    assert trials["number"].tolist() == [0, 1, 2]
    assert set(trials["state"]) == {"complete"}
    assert run.best.delta == trials["delta"].max()
    assert len(run.epochs()) == 3 * 2
    assert set(run.epochs().columns) >= {"trial", "epoch", "loss/bright", "temperature", "score"}
    p = run.probabilities()
    sums = p.groupby(["trial", "epoch", "layer", "filter"])["p"].sum()
    assert np.allclose(sums, 1, atol=1e-5)
    assert sorted(p["epoch"].unique()) == [0, 1, 2]
    assert set(p["group"]) == set(run.best.allocation.groups.names)
    assert (reports[-1].done, reports[-1].total) == (3, 3)
    assert reports[0].stage == "references"


def test_the_ledger_holds_each_step_and_the_fixed_network_equals_the_hard_supernet(
    make_study: Make, tmp_path: Path
) -> None:
    run = search(make_study(), runs=tmp_path, trials=1)
    ledger = run.best.ledger
    assert list(ledger.steps) == ["relaxed", "sampled", "hard", "recalibrated", "fixed"]
    for metric, value in ledger.steps["recalibrated"].items():
        assert ledger.steps["fixed"][metric] == pytest.approx(value, rel=1e-3)
    assert ledger.difference < 1e-4
    assert (ledger.macs, ledger.params) == (
        run.best.architecture.macs,
        run.best.architecture.params,
    )
    references = run.references()
    assert references is not None
    accuracy, mae = (ledger.steps["fixed"][name] for name in ("bright/accuracy", "level/mae"))
    gains = (
        accuracy / references.values["bright/accuracy"] - 1,
        1 - mae / references.values["level/mae"],
    )
    assert ledger.delta == pytest.approx(sum(gains) / 2)


def test_interrupted_at_reports_equals_uninterrupted(make_study: Make, tmp_path: Path) -> None:
    study = make_study({"search.trials": 2})
    wanted = search(study, runs=tmp_path / "whole")

    def interrupt() -> Callable[[Progress], None]:
        seen = 0

        def progress(report: Progress) -> None:
            nonlocal seen
            seen += report.epoch > 0
            if report.epoch > 0 and seen > 1:
                raise KeyboardInterrupt

        return progress

    sittings = 0
    while True:
        sittings += 1
        assert sittings < 40
        try:
            found = search(study, runs=tmp_path / "parts", progress=interrupt())
        except KeyboardInterrupt:
            continue
        break
    assert sittings > 2
    assert_same(found, wanted)


def test_killed_at_any_write_equals_uninterrupted(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study({"search.trials": 2})
    wanted = search(study, runs=tmp_path / "whole")
    rename = Path.replace
    writes = {"left": 0}

    def failing(self: Path, target: Path) -> Path:
        writes["left"] -= 1
        if writes["left"] == 0:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    for after in range(1, 20):
        writes["left"] = 1 + 2 * after
        try:
            found = search(study, runs=tmp_path / "parts")
        except KeyboardInterrupt:
            continue
        break
    assert after > 3
    assert_same(found, wanted)


def test_a_finished_study_is_left_alone_and_more_trials_can_be_had(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study()
    search(study, runs=tmp_path, trials=1)
    before = (tmp_path / "tiny" / "trials" / "0" / "ledger.json").stat().st_mtime_ns
    run = search(study, runs=tmp_path, trials=2)
    assert [trial.number for trial in run.all] == [0, 1]
    assert (tmp_path / "tiny" / "trials" / "0" / "ledger.json").stat().st_mtime_ns == before


def test_a_loss_that_is_not_finite_fails_its_trial_only(make_study: Make, tmp_path: Path) -> None:
    candidates = [{"training.learning_rate": 1e30}, {"training.learning_rate": 0.01}]
    study = make_study({"any_rate": True, "search.enqueue": candidates, "search.trials": 2})
    run = search(study, runs=tmp_path)
    assert [trial.state for trial in run.all] == ["failed", "complete"]
    assert "epoch" in run.all[0].reason or "evaluation" in run.all[0].reason
    assert run.best.number == 1
    assert search(study, runs=tmp_path).trials().equals(run.trials())  # a failure counts


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
@pytest.mark.parametrize("stage", ["made", "trained"])
def test_too_little_memory_fails_its_trial_only_and_says_what_to_do(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, error: Exception
) -> None:
    owner, name = (Study, "make_supernet") if stage == "made" else (SupernetMethod, "loss")
    whole, calls = getattr(owner, name), []

    def lacking(*arguments: object, **named: object) -> object:
        calls.append(name)
        if len(calls) == (2 if stage == "made" else 1):  # a search looks at its network first
            raise error
        return whole(*arguments, **named)

    monkeypatch.setattr(owner, name, lacking)
    run = search(make_study(), runs=tmp_path, trials=2)
    assert [trial.state for trial in run.all] == ["failed", "complete"]
    assert "all of it must fit into memory" in run.all[0].reason
    assert "lower training.batch_size" in run.all[0].reason


def test_a_run_without_a_complete_trial_has_no_best(make_study: Make, tmp_path: Path) -> None:
    candidate = {"training.learning_rate": 1e30}
    study = make_study({"any_rate": True, "search.enqueue": [candidate], "search.trials": 1})
    run = search(study, runs=tmp_path)
    with pytest.raises(TrainingError, match="0 failed"):
        _ = run.best


@pytest.mark.parametrize(
    ("name", "value"), [("trials", 0), ("trials", -1), ("trials", 2.7), ("workers", 0)]
)
def test_numbers_below_one_and_fractions_are_refused(
    make_study: Make, tmp_path: Path, name: str, value: float
) -> None:
    words = rf"search: {name}: an integer of at least 1 is needed; found {value}"
    with pytest.raises(ConfigError, match=words):
        search(make_study(), runs=tmp_path, **{name: value})
    assert not list(tmp_path.iterdir())


def test_folders_that_are_gone_are_said(make_study: Make, tmp_path: Path) -> None:
    run = search(make_study(), runs=tmp_path, trials=2)
    shutil.rmtree(run.files.trial(1).root)
    assert len(search(make_study(), runs=tmp_path, trials=2).all) == 1  # one may do without some
    shutil.rmtree(run.files.trials)
    with pytest.raises(ArchitectureError, match=r"tiny/trials: each complete.*found none of 2;"):
        search(make_study(), runs=tmp_path, trials=2)


def test_a_run_s_own_storage_that_is_damaged_is_said(make_study: Make, tmp_path: Path) -> None:
    search(make_study(), runs=tmp_path, trials=1)
    (tmp_path / "tiny" / "study.db").write_text("no database")
    with pytest.raises(ConfigError, match=r"not a database; restore study\.db, or give"):
        search(make_study(), runs=tmp_path, trials=1)


def test_folders_of_another_storage_s_trials_are_said(make_study: Make, tmp_path: Path) -> None:
    """What one candidate reached would be told as what another one did."""
    run = search(make_study(), runs=tmp_path, trials=2)
    candidate = run.files.trial(1).candidate
    kept = candidate.read_text()
    other = json.loads(kept) | {"sharing.lambda3": 0.125}
    candidate.write_text(json.dumps(other))  # as several workers may have proposed
    elsewhere = f"sqlite:///{tmp_path}/elsewhere.db"
    with pytest.raises(ArchitectureError, match=r"trials/1: .*sharing\.lambda3 0\.125 .*--storage"):
        search(make_study(), runs=tmp_path, trials=3, storage=elsewhere)
    with pytest.raises(ArchitectureError, match=r"trials/1: .*sharing\.lambda3 0\.125 .*--storage"):
        search(make_study(), runs=tmp_path, trials=2)  # also where nothing is left to train
    candidate.write_text(kept)
    assert len(search(make_study(), runs=tmp_path, trials=2).all) == 2


def test_a_changed_study_is_refused_and_named(
    make_study: Make, tmp_path: Path, tiny_data: DataBundle
) -> None:
    search(make_study(), runs=tmp_path, trials=1)
    with pytest.raises(ConfigError, match=r"training\.batch_size: 16 -> 8"):
        search(make_study({"training.batch_size": 8}), runs=tmp_path)
    other = replace(tiny_data, fingerprint="another")
    with pytest.raises(
        ConfigError, match=r"its images, labels or parts are others.*data_fingerprint"
    ):
        search(make_study(data=other), runs=tmp_path)
    run = search(make_study({"search.trials": 1, "retrain.epochs": 5}), runs=tmp_path)
    assert len(run.all) == 1


def test_hopeless_trials_are_pruned_and_say_when(make_study: Make, tmp_path: Path) -> None:
    study = make_study(
        {
            "training.epochs": 3,
            "search.trials": 5,
            "search.pruner": {"kind": "median", "startup": 1, "warmup_epochs": 0},
        }
    )
    run = search(study, runs=tmp_path)
    pruned = [trial for trial in run.all if trial.state == "pruned"]
    assert pruned
    assert all("stopped after epoch" in trial.reason for trial in pruned)
    epochs = run.epochs().groupby("trial").size()
    assert all(epochs[trial.number] < 3 for trial in pruned)
    assert not list(run.path.rglob("checkpoint*"))


def test_two_objectives_give_a_front(make_study: Make, tmp_path: Path) -> None:
    study = make_study({"search.objectives": ["error", "macs"]})
    run = search(study, runs=tmp_path)
    for trial in run.complete:
        assert trial.values == (-trial.delta, trial.ledger.macs)
    front = run.pareto()
    assert run.best in front or run.best.delta == max(t.delta for t in front)
    macs = [trial.ledger.macs for trial in front]
    assert macs == sorted(macs)
    for trial in run.complete:
        assert any(f.ledger.macs <= trial.ledger.macs and f.delta >= trial.delta for f in front)


def test_the_study_file_of_a_run_says_where_it_came_from(make_study: Make, tmp_path: Path) -> None:
    study = make_study()
    run = search(study, runs=tmp_path, trials=1)
    assert run.config == study.config
    assert run.provenance["data_fingerprint"] == study.data.fingerprint
    assert {"version", "git_commit", "torch", "seed"} <= set(run.provenance)
    assert json.loads((run.path / "references.json").read_text())["values"]


KILLS = 20
SEARCHES: dict[str, dict[str, Any]] = {
    "tpe-median": {"search.pruner": {"kind": "median", "startup": 2}},
    "nsga2-dominance": {
        "search.objectives": ["delta", "macs"],
        "search.sampler": {"kind": "nsga2", "startup": 3},
        "search.pruner": {"kind": "dominance", "startup": 2, "warmup_epochs": 2},
    },
}
"""How the killed searches propose and prune."""
LONG = {"search.trials": 14, "training.epochs": 8}


def be_killed(changes: dict[str, Any], runs: Path) -> None:
    """Search: the target of a process that will not live long."""
    torch.set_num_threads(1)
    content = deepcopy(CONTENT)
    del content["search"]["space"]["training.learning_rate"]
    search(load_study(content, changes, backbone=two_layers, data=make_data()), runs=runs)


def epochs_of(run: Path) -> dict[str, list[str]]:
    """Return the rows of each trial's metrics, without their head."""
    tables = sorted(run.glob("trials/*/metrics.csv"))
    return {path.parent.name: path.read_text("utf-8").splitlines()[1:] for path in tables}


def count(rows: dict[str, list[str]]) -> int:
    return sum(len(found) for found in rows.values())


def live_a_while(process: BaseProcess, run: Path, epochs: int, seconds: float) -> dict[str, Any]:
    """Start a search, kill it so long after so many new epochs, and return the epochs it left."""
    wanted = count(epochs_of(run)) + epochs
    process.start()
    while process.is_alive() and count(epochs_of(run)) < wanted:
        time.sleep(0.005)
    process.join(seconds)
    if process.pid is not None and process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL, "it ended by itself: the search is too short"
    return epochs_of(run)


@pytest.mark.slow
@pytest.mark.timeout(1500)  # half a minute, but twenty processes in turn: slow beside other load
@pytest.mark.parametrize(
    "kind", [pytest.param("tpe-median", marks=pytest.mark.ci), "nsga2-dominance"]
)
def test_killed_twenty_times_at_random_moments_equals_uninterrupted(
    make_study: Make, tmp_path: Path, kind: str
) -> None:
    changes = {**SEARCHES[kind], **LONG, "training.learning_rate": 0.01}
    started = time.monotonic()
    wanted = search(make_study(changes), runs=tmp_path / "whole")
    seconds_per_trial = (time.monotonic() - started) / LONG["search.trials"]
    assert {"complete", "pruned"} <= {trial.state for trial in wanted.all}
    # Forked from a process that has imported everything: a real process, without its seconds of imports.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sfg_nas.study.search"])
    moments = random.Random(20)  # noqa: S311 (moments, no secret)
    arguments, left = (changes, tmp_path / "parts"), []
    for _ in range(KILLS):
        process = context.Process(target=be_killed, args=arguments)
        epochs, seconds = moments.choice((0, 0, 1, 2)), moments.uniform(0, seconds_per_trial / 2)
        left.append(live_a_while(process, tmp_path / "parts/tiny", epochs, seconds))
    found = search(make_study(changes), runs=tmp_path / "parts")

    assert_same(found, wanted)
    assert len(found.all) == LONG["search.trials"]
    for name in ("supernet.safetensors", "network.safetensors"):
        files = [[trial.files.root / name for trial in run.complete] for run in (wanted, found)]
        for one, other in zip(*files, strict=True):
            assert_same_tensors(one, other)
    # What an epoch took stands in its row: none but the last of a sitting may have been run again.
    final = epochs_of(found.path)
    for rows in left:
        for trial, known in rows.items():
            assert final[trial][: len(known) - 1] == known[:-1]
    assert not list(found.path.rglob("*.part"))


def test_what_the_study_itself_cannot_build_is_said_before_anything_is_written(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study({"sharing.start.kind": "branched", "sharing.start.split": 9})
    with pytest.raises(ConfigError, match=r"start.split: .*found 9"):
        search(study, runs=tmp_path)
    assert list(tmp_path.iterdir()) == []
