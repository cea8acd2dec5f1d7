from __future__ import annotations

import pandas as pd

from sfg_nas.compare import pages
from sfg_nas.compare.results import comparisons, long
from sfg_nas.tasks import Task

TASKS = (Task("age_x", "regression", unit="years"),)


def frame() -> pd.DataFrame:
    rows = [
        {"method": method, "scale": "own", "seed": seed, "macs": macs, "params": 10}
        | {"training_seconds": 12.3, "learning_rate": 0.1, "factor": 1.0, "flatness": 0.0}
        | {"test/age_x/mae": 6 + seed, "validation/age_x/mae": 5.0}
        | {"test/delta": 0.01 * seed, "validation/delta": 0.0}
        for method, macs in (("single-task", 2000), ("hard-sharing", 1000))
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows)


def test_tables_say_means_costs_and_seconds() -> None:
    words = pages.Words("A & B", ["50 % of it"], ["a note"], ["The end."], ["## Extra"])
    compared = comparisons(frame(), TASKS)
    text = pages.markdown(words, frame(), compared, TASKS)
    assert "6.50 ± 0.71" in text
    assert "| 2.00 |".replace(" ", "") in text.replace(" ", "")
    assert "12" in text
    assert text.rstrip().endswith("The end.")
    assert "reproduce" not in text
    latex = pages.latex(words, frame(), compared, TASKS)
    assert r"A \& B" in latex
    assert r"age\_x" in latex
    assert r"6.50 $\pm$ 0.71" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2
    body = [line for line in latex.splitlines() if line.endswith(r"\\")]
    table = body[: len(body) - 2]
    assert len({line.count("&") - line.count(r"\&") for line in table}) == 1


def test_the_long_table_has_one_row_per_method_seed_and_metric() -> None:
    table = long(frame())
    assert len(table) == 2 * 2 * 2
    row = table[(table["method"] == "hard-sharing") & (table["seed"] == 1)]
    assert set(row["metric"]) == {"age_x/mae", "delta"}
    assert row.set_index("metric").loc["age_x/mae", ["test", "validation"]].tolist() == [7, 5]


def test_what_is_not_known_is_said_in_words_and_zero_has_no_sign() -> None:
    rows = frame()
    rows["test/delta"] = [0.0, 0.0, -1e-6, float("nan")]
    words = pages.Words("x", [], ["a note\nof two lines"], ["The end."])
    text = pages.markdown(words, rows, comparisons(rows, TASKS), TASKS)
    assert "nan" not in text
    assert "−0.00" not in text
    assert "\n- a note of two lines\n" in text
    rows["test/delta"] = [0.0, 0.0, float("nan"), float("nan")]
    [row] = pages.differences(comparisons(rows, TASKS)).rows
    assert row[2:] == ("not known", "none", "none", "0")
    text = pages.markdown(words, rows, comparisons(rows, TASKS), TASKS)
    assert "–: not known, as a score is missing." in text


def test_differences_without_an_interval_say_why() -> None:
    rows = frame()
    rows["test/delta"] = [0.0, 0.0, 0.01, 0.01]
    [row] = pages.differences(comparisons(rows, TASKS)).rows
    assert row[3:5] == ("none: all equal", "none: all equal")
    [row] = pages.differences(comparisons(rows[rows["seed"] == 0], TASKS)).rows
    assert row[3:] == ("none", "none", "1")
