"""Words that follow from the intervals, whichever way they point."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pytest

from sfg_nas.compare.results import comparisons
from sfg_nas.compare.verdict import judgement, verdict
from sfg_nas.tasks import Task

TASKS = (Task("a", "regression"),)
SCATTER = (0.0, 0.001, -0.001)


def networks(**deltas: Sequence[float]) -> pd.DataFrame:
    """Return networks whose Δ is a value for each seed; names hold `__` for `-`."""
    rows = []
    for name, values in deltas.items():
        method, _, scale = name.replace("__", "-").partition("@")
        for seed, value in enumerate(values):
            rows.append(
                {"method": method, "scale": scale or "own", "seed": seed, "macs": 100}
                | {"test/delta": value, "test/a/mae": 1 - value}
            )
    return pd.DataFrame(rows)


def said(found: Sequence[float], tolerance: float = 0.0) -> list[str]:
    frame = networks(
        **{
            "single-task": [0.0, 0.0, 0.0],
            "hard-sharing": [-0.01, -0.011, -0.009],
            "hard-sharing-at-found": [0.0, 0.0, 0.0][: len(found)],
            "found": found,
        }
    )
    return verdict(comparisons(frame, TASKS), tolerance=tolerance)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([0.03, 0.031, 0.029], "searching for what to share paid"),
        ([-0.03, -0.031, -0.029], "searching for what to share hurt"),
        ([0.03, -0.031, 0.009], "no difference that these seeds can show"),
    ],
)
def test_the_verdict_follows_the_interval(found: list[float], words: str) -> None:
    paragraphs = said(found)
    assert words in paragraphs[0]
    assert "worse than one network for each task: hard-sharing (Δ −1.00 %" in paragraphs[1]
    assert "4 comparisons were made" in paragraphs[-1]
    assert "75 of 100" in paragraphs[-1]


def test_small_differences_are_equal_where_a_tolerance_says_so() -> None:
    assert "equal for the purpose" in said([0.001, 0.0011, 0.0009], tolerance=0.01)[0]
    assert "paid" in said([0.001, 0.0011, 0.0009])[0]


def test_one_seed_has_no_verdict() -> None:
    frame = networks(**{"single-task": [0.0], "hard-sharing": [0.1], "found": [0.2]})
    assert verdict(comparisons(frame, TASKS))[0].startswith("Single seed")


def test_an_error_that_falls_is_better() -> None:
    frame = networks(**{"single-task": [0.0] * 3, "hard-sharing": [0.03, 0.031, 0.029]})
    rows = comparisons(frame, TASKS)
    by_metric = {row["metric"]: row for row in rows.to_dict("records")}
    assert by_metric["a/mae"]["mean"] == pytest.approx(-0.03)
    assert judgement(by_metric["a/mae"]) == judgement(by_metric["delta"]) == "better"


def test_at_equal_macs_methods_are_set_beside_hard_sharing() -> None:
    frame = networks(
        **{
            "single-task": [0.0] * 3,
            "hard-sharing": [0.01, 0.011, 0.009],
            "found@equal-macs": [0.05, 0.052, 0.051],
            "thirds@equal-macs": [-0.05, -0.052, -0.051],
            "nddr@equal-macs": [-0.05, 0.06, 0.01],
        }
    )
    rows = comparisons(frame, TASKS)
    equal = rows[rows["question"] == "equal-macs"]
    assert set(equal["against"]) == {"hard-sharing"}
    assert set(equal["comparisons"]) == {3}
    text = verdict(rows)[0]
    assert "better than hard sharing: found" in text
    assert "worse: sharing this way hurts: thirds" in text
    assert text.endswith("no difference shown: nddr.")


def test_nothing_to_compare_is_said() -> None:
    assert verdict(pd.DataFrame()) == ["No comparison: fewer than two methods are finished."]
