"""What the trials of a run say together: how the front grew, what lies around the best, which dimension matters."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sfg_nas.study.fronts import hypervolume, reference_of, scaled
from sfg_nas.study.importances import CLEAR, FEWEST, Score, importances, places, space_of
from sfg_nas.study.run import Run


def hypervolume_course(run: Run) -> pd.DataFrame:
    """Return how the front of (Δ, MACs) grew with the trials.

    Both are scaled to their range over all complete trials; the reference lies a tenth of it beyond the worst.

    Args:
        run: A run.

    Returns:
        `trial`, `delta`, `macs`, `best` (Δ so far), `hypervolume` so far, and `share` of what it is in the end.
    """
    trials = run.complete
    columns = ["trial", "delta", "macs", "best", "hypervolume", "share"]
    if not trials:
        return pd.DataFrame(columns=columns)
    points = scaled(np.array([[-trial.delta, trial.ledger.macs] for trial in trials], dtype=float))
    reference = reference_of(points)
    volumes = [hypervolume(points[: count + 1], reference) for count in range(len(trials))]
    deltas = [trial.delta for trial in trials]
    return pd.DataFrame(
        {
            "trial": [trial.number for trial in trials],
            "delta": deltas,
            "macs": [trial.ledger.macs for trial in trials],
            "best": np.maximum.accumulate(deltas),
            "hypervolume": volumes,
            "share": np.array(volumes) / volumes[-1],
        },
        columns=columns,
    )


def neighbourhood(run: Run, nearest: int = 8) -> pd.DataFrame:
    """Return the complete trials closest to the best candidate: is it a plateau, or a lucky point?

    The distance is the mean difference over the dimensions, each scaled to 0..1 (a choice differs by 1).

    Args:
        run: A run with a complete trial.
        nearest: How many.

    Returns:
        `trial`, `distance`, `delta`, `score` (what makes a trial the best: Δ, or the advantage over hard sharing), `loss`
        (how much less than the best's) and the candidate's values, the best first.

    Raises:
        TrainingError: If no trial is complete.
    """
    best, trials, space = run.best, run.complete, space_of(run)
    highest = run.score(best)
    found = places([best, *trials], space)
    difference = np.abs(found[1:] - found[0]).clip(max=1.0)
    for column, (_, dimension) in enumerate(space.dimensions):
        if dimension.choices is not None:
            difference[:, column] = difference[:, column] > 0
    distance = difference.mean(1) if len(space) else np.zeros(len(trials))
    rows = [
        {
            "trial": trial.number,
            "distance": float(far),
            "delta": trial.delta,
            "score": run.score(trial),
            "loss": highest - run.score(trial),
            **dict(trial.candidate),
        }
        for trial, far in zip(trials, distance, strict=True)
    ]
    frame = pd.DataFrame(rows).sort_values(["distance", "loss"], ignore_index=True)
    return frame.head(nearest + 1)


def in_words(run: Run) -> list[str]:
    """Return what the trials say about the search, one sentence each; empty as long as they say little.

    Args:
        run: A run.
    """
    trials = run.complete
    if len(trials) < 2:
        return []
    course = hypervolume_course(run)
    first = int(course.loc[course["share"] >= 0.95, "trial"].iloc[0])
    said = [f"trial {first} brought the front (delta, MACs) to 95 % of its hypervolume"]
    near = neighbourhood(run, nearest=3).iloc[1:]
    losses = ", ".join(f"{value:.3f}" for value in near["loss"])
    noun, verb = ("trial", "has") if len(near) == 1 else ("trials", "have")
    said.append(
        f"nearest to the best candidate: {noun} {', '.join(map(str, near['trial']))}, "
        f"which {verb} {losses} less {run.quality}"
    )
    scores: list[Score] = [
        run.quality, *(name for name in ("macs", "params") if name in run.config.search.objectives)
    ]  # fmt: skip
    return said + [_what_mattered(run, score) for score in scores]


def _what_mattered(run: Run, score: Score) -> str:
    """Return which dimensions stand out from chance, in words."""
    frame = importances(run, score)
    if frame.empty:
        return f"which dimension matters for {score}: not said below {FEWEST} complete trials"
    clear = frame[frame["above_chance"] >= CLEAR]
    if clear.empty:
        return f"which dimension matters for {score}: none stands out from chance yet"
    shown = ", ".join(
        f"{row.parameter} ({row.importance:.2f} ± {row.sd:.2f})"
        for row in clear.head(4).itertuples()
    )
    return f"what mattered for {score} (importance ± spread over bootstraps): {shown}"
