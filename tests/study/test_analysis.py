"""On trials whose scores follow a known rule, the rule is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sfg_nas.study import Run, Study
from sfg_nas.study.analysis import hypervolume_course, in_words, neighbourhood
from tests.study.runs import make_run

Make = Callable[..., Study]


@pytest.fixture
def run(make_study: Make, tmp_path: Path) -> Run:
    return make_run(make_study(), tmp_path, 30)


def test_what_matters_is_said_of_every_objective(make_study: Make, tmp_path: Path) -> None:
    study = make_study({"search.objectives": ["delta", "macs"]})
    words = in_words(make_run(study, tmp_path, 30))
    delta, macs = (next(t for t in words if f"mattered for {s}" in t) for s in ("delta", "macs"))
    assert "sharing.lambda3" in delta
    assert "temperature" not in delta
    assert "sharing.temperature.start" in macs
    assert "lambda3" not in macs


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


def test_one_neighbour_is_one(make_study: Make, tmp_path: Path) -> None:
    words = in_words(make_run(make_study(), tmp_path, 2))
    assert any("candidate: trial " in text and ", which has " in text for text in words)


def test_few_trials_say_little(make_study: Make, tmp_path: Path) -> None:
    run = make_run(make_study({"name": "few"}), tmp_path, 3)
    assert any("not said below 8" in text for text in in_words(run))
    empty = Run.load(make_run(make_study({"name": "none"}), tmp_path, 0).path)
    assert hypervolume_course(empty).empty
    assert in_words(empty) == []
