from __future__ import annotations

import pandas as pd
import pytest

from sfg_nas.study import paired_differences, summarise
from sfg_nas.study.table import records
from sfg_nas.tasks import Task

TASKS = (Task("age", "regression"), Task("gender", "classification", outputs=2))


def rows() -> pd.DataFrame:
    table = [
        ("single-task", 0, 200, 8.0, 0.80),
        ("single-task", 1, 200, 12.0, 0.80),
        ("hard-sharing", 0, 100, 9.0, 0.84),
        ("hard-sharing", 1, 100, 11.0, 0.84),
        ("found", 0, 50, 8.0, 0.88),
        ("found", 1, 50, 10.0, 0.80),
    ]
    columns = ["method", "seed", "macs", "test/age/mae", "test/gender/accuracy"]
    return pd.DataFrame(table, columns=columns).assign(params=7)


def test_the_table_by_hand() -> None:
    table = summarise(rows(), TASKS)
    assert table.index.tolist() == ["single-task", "hard-sharing", "found"]
    assert table["seeds"].tolist() == [2, 2, 2]
    assert table["relative_macs"].tolist() == [2.0, 1.0, 0.5]
    assert table.loc["found", "age/mae"] == 9.0
    assert table.loc["found", "age/mae sd"] == pytest.approx(2**0.5)
    # References are the means over the single-task seeds: 10 years and 0.8.
    assert table.loc["hard-sharing", "delta"] == pytest.approx((0.0 + 0.05) / 2)
    assert table.loc["found", "delta"] == pytest.approx((0.1 + 0.05) / 2)
    assert table.loc["single-task", "delta"] == pytest.approx(0.0)


def test_a_single_seed_has_no_spread() -> None:
    table = summarise(rows().query("seed == 0"), TASKS)
    assert table["age/mae sd"].isna().all()


def test_pairs_are_compared_within_a_seed() -> None:
    pairs = paired_differences(rows(), TASKS, method="found").set_index(["against", "metric"])
    age = pairs.loc[("hard-sharing", "age/mae")]
    assert (age["mean"], age["sd"], age["seeds"], age["better"]) == (-1.0, 0.0, 2, True)
    gender = pairs.loc[("hard-sharing", "gender/accuracy")]
    assert gender["mean"] == pytest.approx(0.0)
    assert set(pairs.index.get_level_values("metric")) == {"age/mae", "gender/accuracy", "delta"}


def test_without_single_task_networks_there_is_no_delta() -> None:
    table = summarise(rows().query("method != 'single-task'"), TASKS)
    assert "delta" not in table.columns


def test_the_rows_of_a_frame_have_all_digits() -> None:
    rate, error = 3.123456789e-9, 1.25e-13
    frame = pd.DataFrame({"name": ["a", "b"], "rate": [rate, float("nan")], "a/mae": [error, 2.0]})
    assert records(pd.DataFrame()) == []
    found = records(frame.assign(macs=[3, 4]))
    assert found == [
        {"name": "a", "rate": rate, "a/mae": error, "macs": 3},
        {"name": "b", "rate": None, "a/mae": 2.0, "macs": 4},
    ]
    assert type(found[0]["macs"]) is int  # as JSON takes it
