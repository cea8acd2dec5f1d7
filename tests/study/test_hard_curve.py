from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfg_nas.errors import ConfigError, SfgNasError
from sfg_nas.study import Study, search
from sfg_nas.study.hard_curve import HardSharingCurve, HardSharingPoint, are_points, curve_of
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.networks import hard_network, macs_of, scaled_by
from sfg_nas.study.references import References, load_references

Make = Callable[..., Study]
ADVANTAGE = {"search.objectives": ["advantage"], "references.widths": [0.5, 1.0, 2.0]}


def curve_through(costs: list[int], deltas: list[float]) -> HardSharingCurve:
    points = [
        HardSharingPoint(1.0, 0, cost, delta, {"a/accuracy": 0.5})
        for cost, delta in zip(costs, deltas, strict=True)
    ]
    return HardSharingCurve(tuple(points))


def test_two_points_give_the_line_between_them() -> None:
    curve = curve_through([100, 400], [-0.03, -0.01])
    assert curve.delta(100) == pytest.approx(-0.03)
    assert curve.delta(200) == pytest.approx(-0.02)  # half way in the logarithm
    assert curve.delta(800) == pytest.approx(0.0)
    assert math.isnan(curve.spread)


@given(
    st.lists(st.tuples(st.integers(1, 10**9), st.floats(-0.5, 0.5)), min_size=3, max_size=9).filter(
        lambda rows: max(r[0] for r in rows) > 2 * min(r[0] for r in rows)
    )
)
def test_the_line_is_that_of_least_squares(rows: list[tuple[int, float]]) -> None:
    costs, deltas = map(list, zip(*rows, strict=True))
    curve = curve_through(costs, deltas)
    slope, height = np.polyfit(np.log(costs), deltas, 1)
    for macs in (costs[0], 1234, 10**7):
        assert curve.delta(macs) == pytest.approx(slope * math.log(macs) + height, abs=1e-9)
    left = np.array(deltas) - (slope * np.log(costs) + height)
    assert curve.spread == pytest.approx(np.sqrt((left**2).sum() / (len(rows) - 2)), abs=1e-9)


def test_points_are_stored_and_read_back() -> None:
    curve = curve_through([100, 400], [-0.03, -0.01])
    stored = json.loads(json.dumps(curve.to_json()))
    assert are_points(stored)
    assert curve_of(stored) == curve
    assert are_points([])
    assert curve_of([]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"macs": 0},
        {"macs": 1.5},
        {"delta": math.nan},
        {"delta": 10**400},
        {"delta": "much"},
        {"values": [1.0]},
        {"seed": -1},
        {"more": 1},
    ],
)
def test_a_damaged_point_is_none(change: dict[str, Any]) -> None:
    stored = curve_through([100, 400], [-0.03, -0.01]).to_json()
    assert are_points(stored)
    assert not are_points([stored[0], {**stored[1], **change}])
    assert not are_points([stored[0], stored[0]]), "one cost gives no line"


def test_trials_are_scored_beside_hard_sharing_of_their_cost(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study({**ADVANTAGE, "references.seeds": 2})
    run = search(study, runs=tmp_path)
    references = run.references()
    assert references is not None
    curve = references.hard_sharing
    assert curve is not None
    assert [(p.factor, p.seed) for p in curve.points] == [
        (f, n) for n in range(2) for f in (0.5, 1.0, 2.0)
    ]
    own = [point.macs for point in curve.points if point.factor == 1.0]
    assert own == [references.hard_sharing_macs] * 2
    for point in curve.points:
        assert point.delta == pytest.approx(references.delta(point.values, study.tasks))
    assert run.quality == "advantage"
    for trial in run.complete:
        expected = trial.delta - curve.delta(trial.ledger.macs)
        assert trial.values == pytest.approx((expected,))
        assert run.score(trial) == pytest.approx(expected)
    assert run.score(run.best) == max(run.score(trial) for trial in run.complete)
    assert "advantage" in run.trials().columns
    assert not list(run.path.rglob("checkpoint*"))


def test_without_that_objective_hard_sharing_is_not_trained(
    make_study: Make, tmp_path: Path
) -> None:
    run = search(make_study(), runs=tmp_path, trials=1)
    references = run.references()
    assert references is not None
    assert references.hard_sharing is None
    assert run.quality == "delta"
    with pytest.raises(ConfigError, match=r"search\.objectives"):
        references.advantage(0.0, 100)


def test_trainings_that_were_done_are_not_done_again(make_study: Make, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    study = make_study({**ADVANTAGE, "references.seeds": 1})
    seen: list[tuple[int, int]] = []

    def stop(report: Any) -> None:  # noqa: ANN401
        if report.stage == "references":
            seen.append((report.done, report.epoch))
            if seen[-1] == (2, 1) and len(seen) < 6:
                raise StopError

    with pytest.raises(StopError):
        search(study, runs=tmp_path / "killed", trials=1, progress=stop)
    before = len(seen)
    run = search(study, runs=tmp_path / "killed", trials=1, progress=stop)
    assert before == 5
    # What goes on from a checkpoint says once where it was.
    assert seen[before:] == [(0, 2), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]
    whole = search(study, runs=tmp_path / "whole", trials=1)
    assert run.references() == whole.references()


def test_widths_that_cost_the_same_are_refused(make_study: Make, tmp_path: Path) -> None:
    study = make_study({**ADVANTAGE, "references.widths": [1.0, 1.01]})
    with pytest.raises(ConfigError, match=r"references\.widths.*MACs each"):
        search(study, runs=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_median_pruner_sees_the_advantage(make_study: Make, tmp_path: Path) -> None:
    study = make_study(
        {
            **ADVANTAGE,
            "references.seeds": 1,
            "search.trials": 6,
            "training.epochs": 3,
            "search.pruner": {"kind": "median", "startup": 1, "warmup_epochs": 0},
        }
    )
    run = search(study, runs=tmp_path)
    assert {trial.state for trial in run.all} == {"complete", "pruned"}


def test_a_damaged_references_file_is_said(make_study: Make, tmp_path: Path) -> None:
    run = search(make_study({**ADVANTAGE, "references.seeds": 1}), runs=tmp_path, trials=1)
    files = RunFiles(run.path)
    content = json.loads(files.references.read_text())
    content["hard_sharing"][0]["macs"] = -1
    files.references.write_text(json.dumps(content))
    with pytest.raises(SfgNasError, match="hard_sharing"):
        load_references(files)


def test_hard_networks_cost_what_their_width_says(make_study: Make) -> None:
    study = make_study()
    section = study.config.backbone
    costs = [macs_of(hard_network(study, scaled_by(section, f), seed=0), study) for f in (1, 2)]
    conv = [6 * 9 * 36 + 6 * 12 * 9 * 36, 12 * 9 * 36 + 12 * 24 * 9 * 36]
    heads = [cost - c for cost, c in zip(costs, conv, strict=True)]
    assert heads[1] == 2 * heads[0] > 0  # heads read twice the channels


def test_references_keep_their_form_without_a_curve() -> None:
    plain = References({"a/accuracy": 0.5}, 1, 0, 1, 1, 1, 1)
    assert "hard_sharing" not in plain.to_json()
