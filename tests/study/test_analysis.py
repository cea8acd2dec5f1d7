"""On trials whose scores follow a known rule, the rule is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sfg_nas.study import Ledger, Run, Study
from sfg_nas.study.analysis import (
    dimension_importances,
    hypervolume_course,
    in_words,
    neighbourhood,
)
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.provenance import begin_run
from sfg_nas.training import write_json, write_text

Make = Callable[..., Study]


def make_run(study: Study, root: Path, count: int) -> Run:
    """Return a run whose delta depends on the cost weight alone."""
    files = RunFiles(root / study.config.name)
    begin_run(study, files)
    rng = np.random.default_rng(0)
    for number in range(count):
        weight, start = rng.random(), float(np.exp(rng.uniform(np.log(0.5), np.log(4.0))))
        delta, macs = float(1 - (weight - 0.5) ** 2), int(1000 * start)
        ledger = Ledger({"fixed": {"delta": delta}}, macs, 10, macs / 1000, 0.0, 1.5)
        write_json(files.trial(number).ledger, ledger.to_json())
        state = {"state": "complete", "values": [delta], "reason": ""}
        write_json(files.trial(number).state, state)
        candidate = {"sharing.lambda3": weight, "sharing.temperature.start": start}
        write_text(files.trial(number).candidate, json.dumps(candidate))
    return Run.load(files.root)


@pytest.fixture
def run(make_study: Make, tmp_path: Path) -> Run:
    return make_run(make_study(), tmp_path, 30)


def test_the_dimension_that_matters_comes_first(run: Run) -> None:
    frame = dimension_importances(run, rounds=8)
    assert frame["parameter"].tolist() == ["sharing.lambda3", "sharing.temperature.start"]
    first, second = frame.iloc[0], frame.iloc[1]
    assert first["importance"] > 5 * abs(second["importance"])
    assert first["above_chance"] == 1.0
    assert second["above_chance"] < 0.9
    assert first["low"] <= first["importance"] <= first["high"]
    assert frame.equals(dimension_importances(run, rounds=8))
    (words,) = [text for text in in_words(run) if "what mattered" in text]
    assert "sharing.lambda3" in words
    assert "temperature" not in words


def test_the_front_only_grows(run: Run) -> None:
    course = hypervolume_course(run)
    assert course["trial"].tolist() == list(range(30))
    assert (course["hypervolume"].diff().dropna() >= 0).all()
    assert course["share"].iloc[-1] == 1.0
    assert course["best"].iloc[-1] == run.best.delta


def test_the_neighbours_are_near(run: Run) -> None:
    frame = neighbourhood(run, nearest=5)
    assert frame["trial"].iloc[0] == run.best.number
    assert frame["distance"].iloc[0] == 0
    assert frame["distance"].is_monotonic_increasing
    assert (frame["loss"] >= 0).all()
    assert len(frame) == 6


def test_few_trials_say_little(make_study: Make, tmp_path: Path) -> None:
    run = make_run(make_study({"name": "few"}), tmp_path, 3)
    assert dimension_importances(run).empty
    assert any("not said below 8" in text for text in in_words(run))
    empty = Run.load(make_run(make_study({"name": "none"}), tmp_path, 0).path)
    assert hypervolume_course(empty).empty
    assert in_words(empty) == []
