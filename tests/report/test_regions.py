"""A table of each dense task, organ by organ."""

from __future__ import annotations

import math

import pandas as pd

from sfg_nas.report import region_tables
from sfg_nas.tasks import Task

TASKS = (
    Task("ct", "dense-regression", unit="HU", classes=("bone", "bladder")),
    Task("organs", "segmentation", 3, classes=("background", "bone", "bladder")),
    Task("age", "regression"),
)


def networks(seeds: int) -> pd.DataFrame:
    rows = []
    for method, shift in (("hard-sharing", 0.0), ("found", 1.0)):
        for seed in range(seeds):
            value = shift + seed
            rows.append(
                {
                    "method": method,
                    "seed": seed,
                    "test/ct/mae": 50 - value,
                    "test/ct/rmse": 9.0,
                    "test/ct/mae/bone": 100 + value,
                    "test/ct/mae/bladder": math.nan,
                    "test/organs/dice": 0.5 + value / 100,
                    "test/organs/accuracy": 0.9,
                    "test/organs/dice/bone": 0.7,
                    "test/organs/dice/bladder": 0.3 + value / 100,
                    "test/age/mae": 3.0,
                }
            )
    return pd.DataFrame(rows)


def test_two_tables_with_the_best_in_bold() -> None:
    found = region_tables(networks(2), TASKS)
    assert list(found) == ["ct: MAE [HU]", "organs: Dice"]
    ct, organs = found.values()
    assert ct.columns == ("method", "all", "bone", "bladder", "seeds")
    assert ct.rows[0] == ("hard-sharing", "49.5 ± 0.7", "**100.5 ± 0.7**", "–", "2")
    assert ct.rows[1][1] == "**48.5 ± 0.7**"
    assert organs.columns == ("method", "mean", "bone", "bladder", "seeds")
    assert organs.rows[1][3] == "**0.315 ± 0.007**"
    assert "single seed" in region_tables(networks(1), TASKS)["organs: Dice"].note


def test_nothing_without_regions() -> None:
    assert region_tables(networks(2), TASKS[2:]) == {}
    assert region_tables(networks(2)[["method", "seed"]], TASKS) == {}
