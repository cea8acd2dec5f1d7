from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import pytest

from sfg_nas.report.front import front_frame, pareto, plot_front, retrained_table
from tests.report.conftest import Small


def test_pareto() -> None:
    assert pareto([1, 2, 3, 3], [5, 4, 6, 7]) == [True, False, False, True]
    assert pareto([1, 1], [2, 2]) == [True, True]  # equals do not beat each other
    assert pareto([], []) == []


def test_frame_holds_trials_and_retrained_methods(small_runs: Mapping[str, Small]) -> None:
    run = small_runs["two"].run
    frame = front_frame(run)
    trials = frame[frame["kind"] == "trial"].set_index("name")
    assert trials["value"].to_dict() == {str(t.number): t.delta for t in run.complete}
    front = {str(t.number) for t in run.pareto()}
    assert front <= set(trials.index[trials["pareto"]])
    table = retrained_table(run)
    retrained = frame[frame["kind"] == "retrained"]
    assert set(retrained["metric"]) == {"left/accuracy", "right/accuracy", "delta"}
    found = retrained[(retrained["name"] == "found") & (retrained["metric"] == "delta")]
    assert found["value"].item() == pytest.approx(table.loc["found", "delta"])


def test_errors_are_better_when_lower(small_runs: Mapping[str, Small]) -> None:
    run = small_runs["two"].run
    table = retrained_table(run)
    assert {"macs", "left/accuracy sd"} <= set(table.columns)
    best = table.sort_values("left/accuracy")
    frame = front_frame(run)
    part = frame[(frame["metric"] == "left/accuracy")].set_index("name")
    assert part.loc[str(best.index[-1]), "pareto"]


def test_a_run_that_was_not_retrained_has_one_panel(small_runs: Mapping[str, Small]) -> None:
    run = small_runs["three"].run
    assert isinstance(retrained_table(run), pd.DataFrame)
    assert retrained_table(run).empty
    assert len(plot_front(run).axes) == 1
    assert len(plot_front(small_runs["two"].run).axes) == 4
