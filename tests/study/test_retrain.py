"""Retraining beside controls: the table, resuming, and warm starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from sfg_nas.fixed import build_network
from sfg_nas.study import Progress, Run, Study, retrain, search
from sfg_nas.study.controls import EQUAL_MACS
from sfg_nas.training import evaluate, load_module

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
    assert names == {"network.safetensors", "architecture.json", "metrics.json", "metrics.csv"}
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


def test_warm_starts_from_the_supernet(searched: tuple[Study, Run], tmp_path: Path) -> None:
    study, run = searched
    cold = retrain(study, run.best, runs=tmp_path, controls=())
    warm = retrain(study, run.best, runs=tmp_path, controls=(), init="warm")
    assert warm.loc["found", "level/mae"] != cold.loc["found", "level/mae"]
    assert set(run.retrained()["init"]) == {"warm"}
