"""Which dimensions of the search space mattered, and how sure that is."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sfg_nas.search_space import Dimension, SearchSpace
from sfg_nas.study.run import Run
from sfg_nas.study.trial_reader import Trial

FEWEST = 8
"""Complete trials below which nothing is said about importances."""
ROUNDS = 20
"""Bootstraps over trials."""
CLEAR = 0.9
"""Share of the bootstraps in which a dimension that matters is above chance."""
COLUMNS = ["parameter", "importance", "sd", "low", "high", "above_chance"]
_TREES, _SHUFFLES = 30, 3
Score = Literal["delta", "advantage", "macs", "params"]


def importances(run: Run, of: Score | None = None, rounds: int = ROUNDS) -> pd.DataFrame:
    """Return how much each dimension tells about a score of the trials, with its uncertainty, the greatest first.

    Permutation importance (Breiman 2001): a random forest is fitted to a bootstrap of the complete trials; the
    importance is how much its squared error on the other trials grows when one dimension is shuffled among them, over
    the variance of the score: 0 tells nothing, and a dimension that alone decides comes to about 2 (the distance of
    two independent draws). Chosen over functional ANOVA since dimensions with a condition count, too (where they are
    absent they have a value of their own), and since a column of pure chance can stand beside the dimensions as a
    yardstick.

    Args:
        run: A run; it may be under way.
        of: `delta`, `macs` or `params`, or `advantage` where it is an objective; None for what makes a trial the best.
        rounds: Bootstraps.

    Returns:
        `parameter` (dotted study key), `importance` (mean), `sd`, `low` and `high` (5 % and 95 % of the bootstraps) and
        `above_chance` (share of the bootstraps in which it is above the yardstick); empty below eight complete trials.
    """
    trials = run.complete
    of = of or run.quality
    scored = [run.score(t) if of == "advantage" else getattr(t.ledger, of) for t in trials]
    values = np.array(scored, dtype=np.float64)
    space = space_of(run)
    if len(trials) < FEWEST or len(space) == 0 or values.var() == 0:
        return pd.DataFrame(columns=COLUMNS)
    rng = np.random.default_rng(run.config.search.seed)
    table = np.column_stack([places(trials, space), rng.random(len(trials))])
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
    from sklearn.ensemble import RandomForestRegressor  # late: half a second

    forest = RandomForestRegressor(_TREES, random_state=int(rng.integers(2**31)))
    forest.fit(table[drawn], values[drawn])
    shuffled = []
    for column in range(table.shape[1]):
        for _ in range(_SHUFFLES):
            rows = table[others].copy()
            rows[:, column] = rng.permutation(rows[:, column])
            shuffled.append(rows)
    # One call for all of them: its own cost is far above that of so few rows.
    foretold = forest.predict(np.concatenate([table[others], *shuffled]))
    errors = np.square(foretold.reshape(-1, len(others)) - values[others]).mean(1)
    worse = (errors[1:] - errors[0]).reshape(table.shape[1], _SHUFFLES).mean(1)
    return [float(value) / float(values.var()) for value in worse]


def space_of(run: Run) -> SearchSpace:
    """Return the search space of a run.

    Args:
        run: The run.
    """
    entries = run.config.search.space
    if isinstance(entries, str):  # a study that was never resolved
        return SearchSpace.from_yaml(entries).bind(run.config)
    return SearchSpace.from_mapping(entries, name="search.space").bind(run.config)


def places(trials: list[Trial], space: SearchSpace) -> NDArray[np.float64]:
    """Return each trial's place in each dimension, `[N, D]`: 0 to 1, or -1 where a condition left it out.

    Args:
        trials: Any trials of a run.
        space: Its search space.
    """
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
