"""Which dimensions of the search space mattered: a view of the finished trials, whatever storage they came from."""

from __future__ import annotations

import optuna
import pandas as pd
from optuna.importance import get_param_importances

from sfg_nas.search_space import Candidate, SearchSpace
from sfg_nas.study.run import Run, Trial
from sfg_nas.study.storage import quiet_optuna

FEWEST = 4
"""Complete trials below which an importance would be noise."""
COLUMNS = ["parameter", "importance"]


def importances(run: Run) -> pd.DataFrame:
    """Return how much of the variance of Δ over the trials each dimension explains, the greatest first.

    Source: functional ANOVA (Hutter, Hoos and Leyton-Brown 2014), as in Optuna. Dimensions that not every
    trial has (those with a condition) are left out, as are all if there are fewer than four complete trials.

    Args:
        run: A run; its best trials may still be to come.

    Returns:
        `parameter` (dotted study key) and `importance`, which sum to one; empty if nothing can be said.
    """
    trials = run.complete
    if len(trials) < FEWEST or len({trial.delta for trial in trials}) < 2:
        return pd.DataFrame(columns=COLUMNS)
    space = _space(run)
    with quiet_optuna():
        study = optuna.create_study(direction="maximize")
        study.add_trials([_frozen(trial, space) for trial in trials])
        found = get_param_importances(study, evaluator=_evaluator(run))
    rows = [{"parameter": key, "importance": float(value)} for key, value in found.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _evaluator(run: Run) -> optuna.importance.BaseImportanceEvaluator:
    return optuna.importance.FanovaImportanceEvaluator(seed=run.config.search.seed)


def _space(run: Run) -> SearchSpace:
    entries = run.config.search.space
    return SearchSpace.from_mapping(entries).bind(run.config)  # type: ignore[arg-type]


def _frozen(trial: Trial, space: SearchSpace) -> optuna.trial.FrozenTrial:
    """Return a finished trial as Optuna keeps it, with the distributions that its values came from."""
    fixed = optuna.trial.FixedTrial(dict(trial.candidate))
    candidate: Candidate = space.suggest(fixed)  # type: ignore[arg-type]
    return optuna.trial.create_trial(
        params=dict(candidate), distributions=fixed.distributions, value=trial.delta
    )
