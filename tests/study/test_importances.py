from __future__ import annotations

from pathlib import Path

import pytest

from sfg_nas.study import search
from sfg_nas.study.importances import COLUMNS, importances
from tests.study.conftest import MakeStudy


def test_importances_are_shares_of_what_varies(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study({"search.trials": 4})
    run = search(study, runs=tmp_path)
    found = importances(run)
    assert set(found["parameter"]) == {"sharing.temperature.start", "sharing.lambda3"}
    assert found["importance"].sum() == pytest.approx(1.0)
    assert found["importance"].is_monotonic_decreasing
    assert found.equals(importances(run))


def test_too_few_trials_say_nothing(make_study: MakeStudy, tmp_path: Path) -> None:
    run = search(make_study({"search.trials": 2}), runs=tmp_path)
    found = importances(run)
    assert found.empty
    assert list(found.columns) == COLUMNS
