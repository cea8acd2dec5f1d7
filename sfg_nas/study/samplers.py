"""Samplers and pruners by the name that a study gives them, all without a state of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from sfg_nas.config import SearchConfig
from sfg_nas.study.pruning import RULES, RungPruner
from sfg_nas.training import derive_seed


def _tpe(search: SearchConfig, seed: int) -> BaseSampler:
    return TPESampler(n_startup_trials=search.sampler.startup, seed=seed)


def _random(search: SearchConfig, seed: int) -> BaseSampler:
    del search
    return RandomSampler(seed=seed)


class NSGAIISampler(optuna.samplers.NSGAIISampler):
    """Optuna's, with the parents of a generation in the same order when chosen as when remembered.

    Optuna gives the trial that chooses them the order of their crowding distance, every later one that of their
    numbers. A trial killed after that choice would draw other parents from the same random numbers. The class bears
    Optuna's name because generations stand in the storage under it: studies that were begun with Optuna's go on.
    """

    def select_parent(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        """Return the parents of a generation, by number."""
        return sorted(super().select_parent(study, generation), key=lambda trial: trial.number)


def _nsga2(search: SearchConfig, seed: int) -> BaseSampler:
    return NSGAIISampler(population_size=max(search.sampler.startup, 2), seed=seed)


SAMPLERS: dict[str, Callable[[SearchConfig, int], BaseSampler]] = {
    "tpe": _tpe,
    "random": _random,
    "nsga2": _nsga2,
}


def _median(search: SearchConfig, epochs: int) -> BasePruner:
    del epochs
    return MedianPruner(search.pruner.startup, search.pruner.warmup_epochs)


def _hyperband(search: SearchConfig, epochs: int) -> BasePruner:
    del search
    return HyperbandPruner(min_resource=1, max_resource=epochs)


def _none(search: SearchConfig, epochs: int) -> BasePruner:
    del search, epochs
    return NopPruner()


PRUNERS: dict[str, Callable[[SearchConfig, int], BasePruner]] = {
    "none": _none,
    "median": _median,
    "hyperband": _hyperband,
}


def rung_pruner(search: SearchConfig) -> RungPruner | None:
    """Return our own pruner, if the study asks for it.

    Args:
        search: The outer loop's section.
    """
    pruner = search.pruner
    if pruner.kind not in RULES:
        return None
    return RungPruner(pruner.kind, max(pruner.warmup_epochs, 1), pruner.factor, pruner.startup)


class ResumableSampler(BaseSampler):
    """A sampler without a state of its own, so that a process that starts anew proposes the same.

    Every proposal is made by a fresh sampler, seeded by the study's seed, the trial's number and the parameter's
    name. What it learns it learns from the trials in the storage.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        """Keep the maker.

        Args:
            make: Seed to a new sampler.
            seed: The study's seed.
        """
        self._make, self._seed = make, seed

    def _fresh(self, trial: FrozenTrial, purpose: str) -> BaseSampler:
        return self._make(derive_seed(self._seed, "sampler", trial.number, purpose))

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters that are proposed together."""
        return self._fresh(trial, "relative").infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, object]:
        """Return values of the parameters that are proposed together."""
        sampler = self._fresh(trial, "relative")
        return dict(sampler.sample_relative(study, trial, search_space))

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> object:
        """Return a value of one parameter."""
        sampler = self._fresh(trial, param_name)
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Let the sampler prepare a trial."""
        self._fresh(trial, "before").before_trial(study, trial)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Let the sampler note a trial's end in the storage."""
        self._fresh(trial, "after").after_trial(study, trial, state, values)
