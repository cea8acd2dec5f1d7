"""Which knob matters: importances with their uncertainty, the front's growth, and what lies around the best."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from sfg_nas.search_space import Dimension, SearchSpace
from sfg_nas.study.fronts import hypervolume, reference_of, scaled
from sfg_nas.study.run import Run, Trial

FEWEST = 8
"""Complete trials below which nothing is said about importances."""
ROUNDS = 20
"""Bootstraps over trials."""
_TREES, _SHUFFLES = 30, 3
_IMPORTANCES = ["parameter", "importance", "sd", "low", "high", "above_chance"]


def dimension_importances(run: Run, rounds: int = ROUNDS) -> pd.DataFrame:
    """Return how much each dimension tells about Δ, with its spread over bootstraps, the greatest first.

    Permutation importance (Breiman 2001): a random forest is fitted to a bootstrap of the trials; the importance is
    how much its squared error on the other trials grows when one dimension is shuffled among them, over the variance
    of Δ. A column of pure chance stands beside the dimensions as a yardstick. Dimensions with a condition count, too:
    where they are absent they have a value of their own.

    Args:
        run: A run.
        rounds: Bootstraps.

    Returns:
        `parameter`, `importance` (mean), `sd`, `low` and `high` (5 % and 95 % of the bootstraps) and `above_chance`
        (share of the bootstraps in which it is above the yardstick); empty below eight complete trials.
    """
    trials = run.complete
    values = np.array([trial.delta for trial in trials], dtype=np.float64)
    space = _space(run)
    if len(trials) < FEWEST or len(space) == 0 or values.var() == 0:
        return pd.DataFrame(columns=_IMPORTANCES)
    rng = np.random.default_rng(run.config.search.seed)
    table = np.column_stack([_coded(trials, space), rng.random(len(trials))])
    found = np.array([_one_round(table, values, rng) for _ in range(rounds)])
    own, chance = found[:, :-1], found[:, -1:]
    frame = pd.DataFrame(
        {
            "parameter": list(space),
            "importance": own.mean(0),
            "sd": own.std(0, ddof=1),
            "low": np.quantile(own, 0.05, axis=0),
            "high": np.quantile(own, 0.95, axis=0),
            "above_chance": (own > chance).mean(0),
        }
    )
    return frame.sort_values("importance", ascending=False, ignore_index=True)


def _one_round(
    table: NDArray[np.float64], values: NDArray[np.float64], rng: np.random.Generator
) -> list[float]:
    """Return the importance of each column in one bootstrap; rows that it lacks are the judges."""
    count = len(values)
    while True:
        drawn = rng.integers(0, count, count)
        others = np.setdiff1d(np.arange(count), drawn)
        if len(others) >= 2 and len(set(drawn.tolist())) >= 2:
            break
    forest = RandomForestRegressor(_TREES, random_state=int(rng.integers(2**31)))
    forest.fit(table[drawn], values[drawn])

    def error(rows: NDArray[np.float64]) -> float:
        return float(np.square(forest.predict(rows) - values[others]).mean())

    plain, found = error(table[others]), []
    for column in range(table.shape[1]):
        worse = []
        for _ in range(_SHUFFLES):
            rows = table[others].copy()
            rows[:, column] = rng.permutation(rows[:, column])
            worse.append(error(rows) - plain)
        found.append(float(np.mean(worse)) / float(values.var()))
    return found


def _space(run: Run) -> SearchSpace:
    entries = run.config.search.space
    if isinstance(entries, str):  # a study that was never resolved
        return SearchSpace.from_yaml(entries).bind(run.config)
    return SearchSpace.from_mapping(entries, name="search.space").bind(run.config)


def _coded(trials: list[Trial], space: SearchSpace) -> NDArray[np.float64]:
    """Return each trial's place in each dimension, `[N, D]`: 0 to 1, or -1 where a condition left it out."""
    return np.array(
        [
            [_place(dimension, trial.candidate.get(key)) for key, dimension in space.dimensions]
            for trial in trials
        ]
    )


def _place(dimension: Dimension, value: object) -> float:
    if value is None:
        return -1.0
    if dimension.choices is not None:
        place = dimension.choices.index(value) if value in dimension.choices else 0
        return place / max(len(dimension.choices) - 1, 1)
    low, high = (float(end) for end in (dimension.endpoints()[0], dimension.endpoints()[-1]))
    if high == low:
        return 0.0
    number = float(value)  # type: ignore[arg-type]
    if dimension.log:
        return float(np.log(number / low) / np.log(high / low))
    return (number - low) / (high - low)


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
        `trial`, `distance`, `delta`, `loss` (how much less Δ than the best) and the candidate's values, the best first.

    Raises:
        TrainingError: If no trial is complete.
    """
    best, trials, space = run.best, run.complete, _space(run)
    places = _coded([best, *trials], space)
    difference = np.abs(places[1:] - places[0]).clip(max=1.0)
    for column, (_, dimension) in enumerate(space.dimensions):
        if dimension.choices is not None:
            difference[:, column] = difference[:, column] > 0
    distance = difference.mean(1) if len(space) else np.zeros(len(trials))
    rows = [
        {
            "trial": trial.number,
            "distance": float(far),
            "delta": trial.delta,
            "loss": best.delta - trial.delta,
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
    said.append(
        f"nearest to the best candidate: trials {', '.join(map(str, near['trial']))}, "
        f"which have {losses} less delta"
    )
    frame = dimension_importances(run)
    if frame.empty:
        said.append(f"which dimension matters: not said below {FEWEST} complete trials")
        return said
    clear = frame[frame["above_chance"] >= 0.9]
    if clear.empty:
        said.append("which dimension matters: none stands out from chance yet")
    else:
        shown = ", ".join(
            f"{row.parameter} ({row.importance:.2f} ± {row.sd:.2f})"
            for row in clear.head(4).itertuples()
        )
        said.append(f"what mattered for delta (importance ± spread over bootstraps): {shown}")
    return said
