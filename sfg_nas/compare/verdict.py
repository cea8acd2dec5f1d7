"""What the intervals allow to be said, in words; also where that is little."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sfg_nas.compare.statistics import bootstrap_coverage
from sfg_nas.errors import several
from sfg_nas.report.verdict import FEWEST_SEEDS
from sfg_nas.report.words import signed, significant

Row = Mapping[str, Any]


def judgement(row: Row, tolerance: float = 0.0) -> str:
    """Return `better`, `worse`, `equal` (inside the tolerance) or `open` for a comparison, or that there is no verdict.

    There is none between two names of one network (`same`), none from fewer than `FEWEST_SEEDS` paired seeds (`few`),
    and none from differences that are all equal (`identical`): they show nothing of what chance does.

    Args:
        row: Of the comparisons.
        tolerance: Differences smaller than this do not matter.
    """
    low, high = float(row["low"]), float(row["high"])
    if row.get("same_network", False):
        return "same"
    if row["seeds"] < FEWEST_SEEDS:
        return "few"
    if low != low or high != high:
        return "identical"
    if row["better"] < 0:
        low, high = -high, -low
    if tolerance > 0 and -tolerance < low and high < tolerance:
        return "equal"
    if low > 0:
        return "better"
    return "worse" if high < 0 else "open"


def holds_for_all(row: Row) -> bool:
    """Return whether the interval that is widened for all comparisons leaves zero out, too.

    Args:
        row: Of the comparisons.
    """
    return bool(row["low_all"] > 0 or row["high_all"] < 0)


def verdict(comparisons: pd.DataFrame, *, tolerance: float = 0.0) -> list[str]:
    """Return the verdict, one paragraph per entry.

    Args:
        comparisons: The paired differences.
        tolerance: Differences of Δ smaller than this do not matter.
    """
    if comparisons.empty:
        return ["No comparison: fewer than two methods are finished."]
    main = "delta" if "delta" in set(comparisons["metric"]) else str(comparisons["metric"].iloc[0])
    rows = [
        {str(key): value for key, value in row.items()}
        for row in comparisons[comparisons["metric"] == main].to_dict("records")
    ]
    most = max(int(row["seeds"]) for row in rows)
    delta = [] if main == "delta" else [_without_delta(main)]
    tolerance = tolerance if main == "delta" else 0.0  # it is one of Δ, not of years or shares
    if most < FEWEST_SEEDS:
        return [_too_few(most), *_raw(rows), *delta]
    paragraphs = [_about_found(row, tolerance) for row in rows if row["question"] == "at-found"]
    equal = [row for row in rows if row["question"] == "equal-macs"]
    paragraphs += _at_equal_macs(equal, tolerance)
    paragraphs += _against_single(
        [row for row in rows if row["question"] == "single-task"], tolerance
    )
    return [*paragraphs, *delta, _caution([row for row in rows if row["seeds"] >= FEWEST_SEEDS])]


def _without_delta(metric: str) -> str:
    return (
        f"There is no Δ: it is relative to the single-task networks' scores, and one of them is zero. This speaks of {metric} "
        "alone; the other metrics are in compare_paired.csv."
    )


def _too_few(seeds: int) -> str:
    counts = {0: "No seed in which both scores are known", 1: "Single seed"}
    return (
        f"{counts.get(seeds, f'{seeds} seeds')}: what a seed does cannot be told from what a method does, so there is no "
        f"verdict. Repeat with at least {FEWEST_SEEDS} seeds (`--seeds {FEWEST_SEEDS}`); what is trained is kept."
    )


def _raw(rows: Sequence[Row]) -> list[str]:
    return [
        f"{row['method']} − {row['against']}: {_signed(row['mean'], row['metric'])}"
        f"{' (the same network)' if judgement(row) == 'same' else ''}."
        for row in rows
        if row["question"] != "single-task"
    ]


def _about_found(row: Row, tolerance: float) -> str:
    verdicts = {
        "better": "searching for what to share paid: the found network is better than hard sharing narrowed to the same "
        "MACs",
        "worse": "searching for what to share hurt: hard sharing narrowed to the same MACs is better than the found "
        "network",
        "equal": "the found network and hard sharing narrowed to the same MACs are equal for the purpose",
        "open": "no difference that these seeds can show between the found network and hard sharing narrowed to the "
        "same MACs",
        "same": "the found network shares everything, so that it is hard sharing itself and what differs is chance",
        "few": f"no verdict between the found network and hard sharing narrowed to the same MACs from {_seeds(row)}; "
        f"at least {FEWEST_SEEDS} are needed",
        "identical": f"all {row['seeds']} differences between the found network and hard sharing narrowed to the same "
        "MACs are equal, so that nothing can be said about chance",
    }
    text = f"At the found network's cost: {verdicts[judgement(row, tolerance)]} ({_numbers(row)})."
    if row.get("other_layers", False):
        text += (
            " The found network has other layers than hard sharing, as the search varied the backbone, too, or nothing "
            "reaches some of them: what differs is not sharing alone."
        )
    return text


def _at_equal_macs(rows: Sequence[Row], tolerance: float) -> list[str]:
    if not rows:
        return []
    words = {
        "better": "better than hard sharing",
        "worse": "worse: sharing this way hurts",
        "equal": "equal to hard sharing for the purpose",
        "open": "no difference shown",
    }
    return [
        "At equal MACs with hard sharing (each method widened or narrowed to its cost): "
        + _listed(rows, words, tolerance)
    ]


def _against_single(rows: Sequence[Row], tolerance: float) -> list[str]:
    if not rows:
        return []
    words = {
        "better": "better than one network for each task",
        "worse": "worse than one network for each task",
        "equal": "equal to one network for each task for the purpose",
        "open": "no difference shown",
    }
    return [
        "Each at its own cost, against single-task networks: " + _listed(rows, words, tolerance)
    ]


def _listed(rows: Sequence[Row], words: Mapping[str, str], tolerance: float) -> str:
    parts: list[str] = []
    for kind, text in words.items():
        members = [row for row in rows if judgement(row, tolerance) == kind]
        if members:
            listed = ", ".join(
                str(row["method"]) if kind == "open" else f"{row['method']} ({_numbers(row)})"
                for row in members
            )
            parts.append(f"{text}: {listed}")
    parts += _without_verdict(rows)
    return "; ".join(parts) + "."


def _without_verdict(rows: Sequence[Row]) -> list[str]:
    reasons = {
        "same": "the same network, so that what differs is chance",
        "identical": "all differences equal, so that nothing can be said about chance",
    }
    parts = []
    for kind, why in reasons.items():
        members = [f"{row['method']} ({_numbers(row)})" for row in rows if judgement(row) == kind]
        if members:
            parts.append(f"{why}: {', '.join(members)}")
    few = [f"{row['method']} ({_seeds(row)})" for row in rows if judgement(row) == "few"]
    if few:
        why = f"no verdict, at least {FEWEST_SEEDS} seeds are needed"
        parts.append(f"{why}: {', '.join(few)}")
    return parts


def _seeds(row: Row) -> str:
    count = int(row["seeds"])
    return several(count, "paired seed") if count else "no paired seed"


def _numbers(row: Row) -> str:
    name = "Δ" if row["metric"] == "delta" else str(row["metric"])
    metric = str(row["metric"])
    text = f"{name} {_signed(row['mean'], metric)}"
    kind = judgement(row)
    if kind in ("same", "few", "identical"):
        return text + (f" with each of {_seeds(row)}" if kind == "identical" else "")
    text += ", 95 % interval "
    text += f"{_signed(row['low'], metric)} to {_signed(row['high'], metric)}"
    if row["comparisons"] > 1 and (row["low"] > 0 or row["high"] < 0):
        also = "also" if holds_for_all(row) else "not"
        text += f", {also} for all {row['comparisons']} comparisons together"
    return text


def _signed(value: float, metric: str) -> str:
    if metric != "delta" or not math.isfinite(value):
        return significant(value)
    return f"{signed(100 * value, 2)} %"


def _caution(rows: Sequence[Row]) -> str:
    seeds = {int(row["seeds"]) for row in rows}
    count, least, most = len(rows), min(seeds), max(seeds)
    paired = f"{least} seeds" if least == most else f"{least} to {most} seeds"
    text = (
        f"Paired over {paired}; t intervals, which take the differences for normal. "
        f"{several(count, 'comparison')} {'was' if count == 1 else 'were'} made: of as many without any true difference "
        f"about {0.05 * count:.2g} would look settled by chance."
    )
    held = bootstrap_coverage(least)
    if math.isfinite(held):
        text += (
            f" The bootstrap is too short with few seeds: over {least} it holds the true mean of normal differences in "
            f"{100 * held:.0f} of 100 cases."
        )
    return text
