"""Proposals depend on the storage, the seed and the trial's number only."""

from __future__ import annotations

import optuna
import pytest

from sfg_nas.config import SearchConfig
from sfg_nas.study.opened import quiet_optuna
from sfg_nas.study.samplers import SAMPLERS, ResumableSampler


def optuna_study(kind: str, seed: int = 0, startup: int = 2) -> optuna.Study:
    config = SearchConfig(sampler={"kind": kind, "startup": startup})
    sampler = ResumableSampler(lambda s: SAMPLERS[kind](config, s), seed)
    with quiet_optuna():
        return optuna.create_study(sampler=sampler, direction="maximize")


def propose(trial: optuna.Trial, parts: int = 3) -> dict[str, object]:
    values: dict[str, object] = {}
    if parts > 0:
        values["x"] = trial.suggest_float("x", 0, 1)
    if parts > 1:
        values["n"] = trial.suggest_int("n", 1, 9)
    if parts > 2:
        values["c"] = trial.suggest_categorical("c", ["a", "b"])
    return values


@pytest.mark.parametrize("kind", sorted(SAMPLERS))
def test_a_new_process_proposes_the_same(kind: str) -> None:
    whole, parts = optuna_study(kind), optuna_study(kind)
    with quiet_optuna():
        for number in range(8):
            trial = whole.ask()
            wanted = propose(trial)
            whole.tell(trial, trial.params["x"])

            trial = parts.ask()
            propose(trial, parts=number % 4)  # killed after some of the parameters
            parts.sampler = optuna_study(kind).sampler
            trial = optuna.Trial(parts, trial._trial_id)
            assert propose(trial) == wanted
            parts.tell(trial, trial.params["x"])


@pytest.mark.parametrize("seed", range(4))
def test_parents_of_a_generation_are_the_same_whether_chosen_or_remembered(seed: int) -> None:
    whole, parts = (optuna_study("nsga2", seed, startup=4) for _ in range(2))
    with quiet_optuna():
        for number in range(24):
            trial = whole.ask()
            wanted = propose(trial)
            whole.tell(trial, (number * 7 % 11) / 11)

            trial = parts.ask()
            # Chooses the parents of its generation, and is killed.
            assert trial.relative_params is not None
            trial = optuna.Trial(parts, trial._trial_id)
            assert propose(trial) == wanted, number
            parts.tell(trial, (number * 7 % 11) / 11)


def test_seeds_and_trials_differ() -> None:
    proposals = []
    for seed in (0, 1):
        study = optuna_study("random", seed)
        with quiet_optuna():
            for _ in range(3):
                trial = study.ask()
                proposals.append(propose(trial)["x"])
                study.tell(trial, 0.0)
    assert len(set(proposals)) == 6
