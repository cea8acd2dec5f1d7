from __future__ import annotations

import math

import pandas as pd

from sfg_nas.report.table import results_table
from sfg_nas.tasks import Task

TASKS = (
    Task("age", "regression", unit="years"),
    Task("gender", "classification", outputs=2),
)


def summary(*, seeds: int = 3) -> pd.DataFrame:
    spread = math.nan if seeds == 1 else 1.0
    rows = {
        "single-task": (8_000_000, 600_000, 2.0, 6.0, 0.1 * spread, 0.921, 0.004 * spread, 0.0),
        "found": (3_100_000, 250_100, 0.775, 6.2, 0.052 * spread, 0.913, 0.002 * spread, -0.02),
    }
    return pd.DataFrame(
        [
            {
                "method": method,
                "seeds": seeds,
                "params": params,
                "macs": macs,
                "relative_macs": relative,
                "age/mae": mae,
                "age/mae sd": mae_sd,
                "gender/accuracy": accuracy,
                "gender/accuracy sd": accuracy_sd,
                "delta": delta,
                "delta sd": 0.01 * spread,
            }
            for method, (macs, params, relative, mae, mae_sd, accuracy, accuracy_sd, delta)
            in rows.items()
        ]
    ).set_index("method")  # fmt: skip


def test_cells_have_units_signs_and_spread() -> None:
    table = results_table(summary(), TASKS)
    assert table.columns == (
        "method", "age MAE [years]", "gender accuracy [%]", "Δ [%]", "MACs", "of hard sharing's",
        "parameters", "seeds",
    )  # fmt: skip
    assert table.rows[1] == (
        "found", "6.20 ± 0.05", "91.30 ± 0.20", "−2.00 ± 1.00", "3.10 M", "0.78", "250 k", "3",
    )  # fmt: skip


def test_a_single_seed_is_said() -> None:
    table = results_table(summary(seeds=1), TASKS)
    assert "Single seed" in table.note
    assert not any("±" in cell for row in table.rows for cell in row)


def test_tasks_are_optional_and_costs_too() -> None:
    bare = summary().drop(columns=["macs", "params", "relative_macs"])
    assert results_table(bare).columns == (
        "method", "age MAE", "gender accuracy [%]", "Δ [%]", "seeds",
    )  # fmt: skip


def test_missing_values_are_dashes() -> None:
    frame = summary()
    frame.loc["found", "age/mae"] = math.nan
    assert results_table(frame).rows[1][1] == "–"


def test_a_column_has_the_digits_of_its_largest_spread_and_zero_no_sign() -> None:
    first = results_table(summary(), TASKS).rows[0]
    assert first[1] == "6.00 ± 0.10"
    assert first[3] == "0.00 ± 1.00"
    frame = summary()
    frame["delta"] = [-2.66e-17, 0.05]
    assert [row[3] for row in results_table(frame).rows] == ["0.00 ± 1.00", "+5.00 ± 1.00"]


def test_errors_in_a_large_unit_are_not_all_zero() -> None:
    frame = summary()  # metres, of what is micrometres
    frame["age/mae"], frame["age/mae sd"] = [6.04e-6, 5.9e-6], [1.5e-7, math.nan]
    assert [row[1] for row in results_table(frame).rows] == [
        "0.00000604 ± 0.00000015",
        "0.00000590",
    ]
    frame["age/mae"], frame["age/mae sd"] = [0.9, 0.8], [1e-9, 0.0]
    assert [row[1] for row in results_table(frame).rows] == ["0.9000 ± 0.0000", "0.8000 ± 0.0000"]


def test_markdown_and_text_have_all_cells() -> None:
    table = results_table(summary(), TASKS)
    lines = table.markdown().splitlines()
    assert len({len(line) for line in lines[:4]}) == 1
    assert [cell.strip() for cell in lines[3].strip("|").split("|")] == list(table.rows[1])
    assert set(lines[1]) == set("|-: ")
    plain = table.text().splitlines()
    assert plain[3].split()[0] == "found"
    assert all(cell in plain[3] for cell in table.rows[1])
    assert table.note in table.text()
