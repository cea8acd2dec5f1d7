"""Optuna behind one small face: which trial is next, what it proposes, and how it ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import optuna
from optuna.pruners import NopPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from sfg_nas.errors import TrainingError, explain
from sfg_nas.search_space import Candidate, SearchSpace
from sfg_nas.study.opened import close_storage, quiet_optuna
from sfg_nas.study.pruning import RungPruner

STORAGE_ERRORS = (optuna.exceptions.StorageInternalError, SQLAlchemyError)
"""What a storage raises that no longer answers."""
NEAR = "near"
"""Attribute of a trial: the name of the other run's allocation that it starts near."""
COURSE = "course"
"""Attribute of a trial: its objectives after each epoch, smaller is better."""

Value = str | int | float | bool | None


def lost(name: str, error: Exception) -> TrainingError:
    """Return what ends a search whose storage no longer answers: what that said itself, such as that its disk is full.

    Args:
        name: The study's.
        error: One of `STORAGE_ERRORS`, or a lock that was lost.
    """
    # Optuna's own error speaks of invalid data, whatever its cause.
    hides = isinstance(error, optuna.exceptions.StorageInternalError)
    said = (error.__cause__ if hides else None) or error
    return TrainingError(
        explain(
            where=f"storage of {name}",
            rule="it must answer as long as the search runs",
            found=f"{type(said).__name__}: {said}".splitlines()[0],
            do="bring it back and call the same command; finished epochs are kept",
        )
    )


@dataclass(frozen=True)
class Ended:
    """How a trial ended.

    Attributes:
        state: `complete`, `pruned` or `failed`.
        values: The objectives of a complete trial, in the study's order.
        reason: Why a trial failed or was pruned.
    """

    state: Literal["complete", "pruned", "failed"]
    values: tuple[float, ...] = ()
    reason: str = ""


_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(frozen=True)
class Standing:
    """How far a search is.

    Attributes:
        counts: Trials that were asked for, by state in small letters.
        best: The best value of the first objective, or None.
    """

    counts: Counter[str]
    best: float | None


def _counts(trials: Sequence[FrozenTrial]) -> Counter[str]:
    states = [trial.state for trial in trials if trial.state is not TrialState.WAITING]
    return Counter("failed" if s is TrialState.FAIL else s.name.lower() for s in states)


class TrialStore:
    """The trials of one study, for one process of perhaps several."""

    def __init__(self, study: optuna.Study, rungs: RungPruner | None = None) -> None:
        """Keep the Optuna study.

        Args:
            study: From `open_optuna`.
            rungs: Our own pruner, or None for that of the Optuna study.
        """
        self._study, self._rungs = study, rungs
        self._seen: tuple[float, Standing] | None = None

    def close(self) -> None:
        """End the connections to the storage."""
        close_storage(self._study._storage)

    def enqueue(self, candidates: Sequence[Mapping[str, Value]]) -> None:
        """Have these candidates tried first, each once however often this is called.

        Args:
            candidates: Dotted keys and values.
        """
        with quiet_optuna():
            for candidate in candidates:
                self._study.enqueue_trial(dict(candidate), skip_if_exists=True)

    def enqueue_near(self, candidate: Mapping[str, Value], name: str) -> None:
        """Have a candidate of another run tried, once however often this is called.

        Args:
            candidate: Dotted keys and values.
            name: Of the allocation that its assignments start near.
        """
        known = {trial.user_attrs.get(NEAR) for trial in self._study.get_trials(deepcopy=False)}
        if name not in known:
            with quiet_optuna():
                self._study.enqueue_trial(dict(candidate), user_attrs={NEAR: name})

    def counts(self) -> Counter[str]:
        """Return the number of trials that were asked for, by state in small letters."""
        return _counts(self._study.get_trials(deepcopy=False))

    def running(self) -> list[int]:
        """Return the numbers of the trials that were begun and not ended."""
        trials = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [trial.number for trial in trials]

    def ended(self) -> dict[int, dict[str, Value]]:
        """Return the number and the candidate's values of each trial that ended, however it did."""
        trials = self._study.get_trials(deepcopy=False)
        return {trial.number: trial.params for trial in trials if trial.state.is_finished()}

    def standing(self, *, seconds: float = 0.0) -> Standing:
        """Return how far the search is, from one look at the storage.

        Args:
            seconds: How old the look may be.
        """
        if self._seen is not None and time.monotonic() - self._seen[0] < seconds:
            return self._seen[1]
        trials = self._study.get_trials(deepcopy=False)
        values = [trial.values[0] for trial in trials if trial.state is TrialState.COMPLETE]
        up = self._study.directions[0] is StudyDirection.MAXIMIZE
        standing = Standing(_counts(trials), (max if up else min)(values) if values else None)
        self._seen = time.monotonic(), standing
        return standing

    def ask(self) -> RunningTrial:
        """Return a new trial."""
        with quiet_optuna():
            return RunningTrial(self._study, self._study.ask(), self._rungs)

    def resume(self, number: int) -> RunningTrial:
        """Return a trial that another process began.

        Args:
            number: One of `running`.
        """
        with quiet_optuna():
            frozen = self._study.get_trials(deepcopy=False)[number]
            trial = optuna.Trial(self._study, frozen._trial_id)
            return RunningTrial(self._study, trial, self._rungs)


class RunningTrial:
    """One trial between its proposal and its end."""

    def __init__(
        self, study: optuna.Study, trial: optuna.Trial, rungs: RungPruner | None = None
    ) -> None:
        """Keep the trial.

        Args:
            study: Its study.
            trial: As Optuna gave it.
            rungs: Our own pruner, or None for that of the Optuna study.
        """
        self._study, self._trial, self._rungs = study, trial, rungs
        self._reported: set[int] | None = None

    @property
    def number(self) -> int:
        """Return its number, from 0."""
        return self._trial.number

    @property
    def near(self) -> str | None:
        """Return the name of the allocation that the trial starts near, or None."""
        name = self._trial.user_attrs.get(NEAR)
        return None if name is None else str(name)

    def suggest(self, space: SearchSpace) -> Candidate:
        """Return the trial's candidate, proposed now or by an earlier process.

        Args:
            space: What may vary.
        """
        with quiet_optuna():
            return space.suggest(self._trial)

    def should_stop(self, points: Sequence[tuple[float, ...] | None]) -> bool:
        """Store the objectives of the epochs so far and return whether the pruner ends the trial.

        Epochs that an earlier process stored are left as they are.

        Args:
            points: The objectives, in the study's order, after each epoch from the first.
        """
        if self._rungs is not None:
            return self._stops_at_rung(self._rungs, points)
        if len(self._study.directions) > 1:
            return False  # Optuna's pruners know one objective only
        if self._reported is None:  # by an earlier process
            stored = self._study.get_trials(deepcopy=False)[self.number].intermediate_values
            self._reported = set(stored)
        with quiet_optuna():
            for epoch, point in enumerate(points):
                if epoch not in self._reported and point is not None:
                    self._trial.report(point[0], epoch)
                    self._reported.add(epoch)
            return not isinstance(self._study.pruner, NopPruner) and self._trial.should_prune()

    def _stops_at_rung(self, rungs: RungPruner, points: Sequence[tuple[float, ...] | None]) -> bool:
        signs = [-1.0 if d is StudyDirection.MAXIMIZE else 1.0 for d in self._study.directions]
        course = [
            None if point is None else [s * v for s, v in zip(signs, point, strict=True)]
            for point in points
        ]
        self._trial.set_user_attr(COURSE, course)
        others = {
            trial.number: trial.user_attrs.get(COURSE, [])
            for trial in self._study.get_trials(deepcopy=False)
            if trial.number != self.number
        }
        return rungs.stops(self.number, course, others)

    def tell(self, ended: Ended) -> None:
        """Store how the trial ended.

        Args:
            ended: Its state, values and reason.
        """
        if ended.reason:
            self._trial.set_user_attr("reason", ended.reason)
        values = list(ended.values) if ended.state == "complete" else None
        with quiet_optuna():
            self._study.tell(self._trial, values, state=_STATES[ended.state])
