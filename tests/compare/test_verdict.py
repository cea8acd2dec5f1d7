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
    assert text.startswith("At equal MACs with hard sharing (")
    assert verdict(rows)[1].startswith("Each at its own cost, against single-task networks: ")


def test_without_delta_it_is_said_what_the_verdict_is_of() -> None:
    frame = networks(**{"single-task": [0.0, 0.1, 0.0], "hard-sharing": [0.3, 0.31, 0.29]})
    told = verdict(comparisons(frame.drop(columns="test/delta"), TASKS))
    assert "hard-sharing (a/mae −0.2667" in told[0]
    assert told[1].startswith("There is no Δ")
    assert "This speaks of a/mae alone" in told[1]
    assert "1 comparison was made: of as many without any true difference about 0.05" in told[2]
    assert not any("There is no Δ" in text for text in verdict(comparisons(frame, TASKS)))


def test_a_delta_that_is_not_known_is_said() -> None:
    nothing = [float("nan")] * 3
    frame = networks(
        **{"single-task": [0.0, 0.1, 0.0], "found": nothing, "thirds": [1.0, 1.1, 0.9]}
    )
    told = " ".join(verdict(comparisons(frame, TASKS)))
    assert "found (no paired seed)" in told
    assert "nan" not in told


def test_nothing_to_compare_is_said() -> None:
    assert verdict(pd.DataFrame()) == ["No comparison: fewer than two methods are finished."]


def test_differences_that_are_all_equal_give_no_verdict() -> None:
    first, second, caution = said([0.03, 0.03, 0.03])
    assert "all 3 differences" in first
    assert "nothing can be said about chance (Δ +3.00 % with each of 3 paired seeds)" in first
    assert "paid" not in first
    alike = "all differences equal, so that nothing can be said about chance: hard-sharing-at-found"
    assert f"{alike} (Δ 0.00 % with each of 3 paired seeds), found (Δ +3.00 % with" in second
    assert "4 comparisons were made" in caution
    assert "no difference" not in said([0.0, 0.0, 0.0], tolerance=0.01)[0]


@pytest.mark.parametrize(
    ("seeds", "words"), [(0, "No seed in which both"), (1, "Single seed"), (2, "2 seeds")]
)
def test_fewer_than_three_paired_seeds_give_no_verdict(seeds: int, words: str) -> None:
    scores = [0.03, 0.0301]
    others = [1.0 - 0.1 * seed for seed in range(seeds)] + [float("nan")] * (2 - seeds)
    frame = networks(**{"single-task": others, "hard-sharing": scores, "found": scores})
    told = verdict(comparisons(frame, TASKS))
    assert told[0].startswith(words)
    assert "Repeat with at least 3 seeds (`--seeds 3`)" in told[0]
    assert not any(
        word in " ".join(told) for word in ("better", "worse", "nan", "difference shown")
    )


def test_a_method_of_two_seeds_has_no_verdict_beside_one_of_three() -> None:
    frame = networks(
        **{
            "single-task": [0.0, 0.0001, 0.0],
            "hard-sharing": [0.01, 0.011, 0.009],
            "hard-sharing-at-found": [0.0, 0.0, 0.0],
            "found": [0.05, 0.051],
        }
    )
    first, second, caution = verdict(comparisons(frame, TASKS))
    assert "no verdict" in first
    assert "from 2 paired seeds; at least 3 are needed (Δ +5.05 %)" in first
    assert second.endswith("no verdict, at least 3 seeds are needed: found (2 paired seeds).")
    assert "better than one network for each task: hard-sharing (" in second
    assert "Paired over 3 seeds" in caution
    assert "2 comparisons were made" in caution


def test_a_tolerance_of_delta_is_none_of_another_metric() -> None:
    frame = networks(
        **{
            "single-task": [0.0, 0.0, 0.0],
            "hard-sharing": [0.0, 0.0, 0.0],
            "hard-sharing-at-found": [0.0, 0.0, 0.0],
            "found": [0.001, 0.0011, 0.0009],
        }
    ).drop(columns="test/delta")
    first = verdict(comparisons(frame, TASKS), tolerance=0.01)[0]
    assert "equal for the purpose" not in first
    assert "paid" in first
