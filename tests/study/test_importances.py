"""On trials whose scores follow a known rule, the rule is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfg_nas.study.importances import COLUMNS, FEWEST, importances
from tests.study.conftest import MakeStudy
from tests.study.runs import make_run


def test_the_dimension_that_matters_comes_first(make_study: MakeStudy, tmp_path: Path) -> None:
    run = make_run(make_study(), tmp_path, 30)
    for of, names in (
        ("delta", ["sharing.lambda3", "sharing.temperature.start"]),
        ("macs", ["sharing.temperature.start", "sharing.lambda3"]),
    ):
        frame = importances(run, of, rounds=8)
        assert frame.columns.tolist() == COLUMNS
        assert frame["parameter"].tolist() == names
        first, second = frame.iloc[0], frame.iloc[1]
        assert first["importance"] > 5 * abs(second["importance"])
        assert first["above_chance"] == 1.0
        assert second["above_chance"] < 0.9
        assert first["low"] <= first["importance"] <= first["high"]
        assert frame.equals(importances(run, of, rounds=8))


@pytest.mark.parametrize("count", [0, FEWEST - 1])
def test_too_few_trials_say_nothing(make_study: MakeStudy, tmp_path: Path, count: int) -> None:
    found = importances(make_run(make_study(), tmp_path, count))
    assert found.empty
    assert list(found.columns) == COLUMNS


def test_what_does_not_vary_explains_nothing(make_study: MakeStudy, tmp_path: Path) -> None:
    run = make_run(make_study(), tmp_path, FEWEST)
    assert importances(run, "params").empty
