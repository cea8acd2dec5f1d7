"""Replay the recorded curves under each pruner: how much of the final hypervolume, at how many of the epochs?

    python benchmarks/pruning/replay.py [curves-1.csv]

Trials come in the recorded order and in 20 shuffled ones. The hypervolume is that of the final points of the trials
that were not stopped, over that of all trials; both objectives scaled to their range, reference 1.1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from sfg_nas.study.fronts import hypervolume, scaled
from sfg_nas.study.pruning import RULES, Course, RungPruner, replay

HERE = Path(__file__).parent
ORDERS = 20


def load_courses(name: str = "curves.csv") -> list[Course]:
    """Return the course of each recorded trial: (-delta, macs) per epoch, None where macs were not known.

    Args:
        name: Of the recorded file beside this one.
    """
    courses: list[Course] = []
    for _, rows in pd.read_csv(HERE / name).groupby("trial"):
        points = rows.sort_values("epoch")[["delta", "macs"]].to_numpy()
        courses.append([[-d, m] if np.isfinite(m) else None for d, m in points])
    return courses


def play(pruner: RungPruner, courses: list[Course]) -> tuple[float, float]:
    """Return the share of the final hypervolume that is kept, and the share of the epochs that is run.

    Args:
        pruner: The pruner.
        courses: Whole courses, in the order in which the trials come.
    """
    played = replay(pruner, courses)
    finals = scaled(np.array([course[-1] for course in courses], dtype=np.float64))
    reference = np.full(finals.shape[1], 1.1)
    kept = hypervolume(finals[list(played.survivors)], reference)
    whole = sum(len(course) for course in courses)
    return kept / hypervolume(finals, reference), played.epochs / whole


def main() -> None:
    """Print a table."""
    courses = load_courses(*sys.argv[1:2])
    print(f"{len(courses)} trials of {len(courses[0])} epochs, {ORDERS} shuffled orders")
    print("rule         first factor startup | hypervolume mean   min | epochs mean   max")
    settings = [
        (first, factor, startup) for first in (1, 2) for factor in (2, 3) for startup in (3, 8)
    ]
    for rule in RULES:
        for first, factor, startup in settings:
            rng = np.random.default_rng(0)
            orders = [rng.permutation(len(courses)) for _ in range(ORDERS)]
            pruner = RungPruner(rule, first, factor, startup)
            found = np.array([play(pruner, [courses[i] for i in order]) for order in orders])
            (volume, epochs), least, most = found.mean(0), found[:, 0].min(), found[:, 1].max()
            print(
                f"{rule:12} {first:5} {factor:6} {startup:7} | {volume:16.3f} {least:5.3f} "
                f"| {epochs:11.3f} {most:5.3f}"
            )


if __name__ == "__main__":
    main()
