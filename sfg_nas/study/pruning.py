"""Pruning on any number of objectives: rungs on which a trial must be among the best of those that came so far.

Optuna's pruners take one objective and its reported values; ours keep a value of each objective per epoch themselves.
Between the rungs a trial runs freely, as in asynchronous successive halving (Li et al. 2020); what "among the best"
means with several objectives is the front's rank, or the hypervolume that a trial adds to the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sfg_nas.study.fronts import Points, choose, contributions, front_ranks, reference_of, scaled

Course = Sequence[Sequence[float] | None]
"""The objectives after each epoch, smaller is better; None where one was not known."""


def _by_dominance(points: Points, count: int) -> set[int]:
    """Return the best by front; within the front that does not fit as a whole, those that add the most."""
    ranks = front_ranks(points)
    normal = scaled(points)
    gains = np.zeros(len(points))
    for rank in range(int(ranks.max()) + 1):
        members = np.flatnonzero(ranks == rank)
        gains[members] = contributions(normal[members], reference_of(normal))
    order = np.lexsort((-gains, ranks))
    return {int(place) for place in order[:count]}


def _by_hypervolume(points: Points, count: int) -> set[int]:
    return set(choose(points, count))


RULES: dict[str, Callable[[Points, int], set[int]]] = {
    "dominance": _by_dominance,
    "hypervolume": _by_hypervolume,
}
"""How the best of the points at a rung are chosen: (points [N, M], how many) to their places."""


@dataclass(frozen=True)
class RungPruner:
    """Stops a trial that is not among the best at a rung.

    Attributes:
        rule: One of `RULES`.
        first: Epochs before the first rung; each next rung stands at `factor` times as many.
        factor: One of so many goes on at each rung.
        startup: Trials that are never stopped.
    """

    rule: str
    first: int = 1
    factor: int = 2
    startup: int = 0

    def is_rung(self, epoch: int) -> bool:
        """Return whether a rung stands after this many epochs.

        Args:
            epoch: Finished epochs.
        """
        place = self.first
        while place < epoch:
            place *= self.factor
        return place == epoch

    def stops(self, number: int, course: Course, others: Mapping[int, Course]) -> bool:
        """Return whether a trial ends here.

        Args:
            number: The trial's.
            course: Its objectives so far.
            others: The courses of all other trials, whatever became of them.
        """
        epoch = len(course)
        if not self.is_rung(epoch) or number < self.startup or course[-1] is None:
            return False
        reached = [other[epoch - 1] for other in others.values() if len(other) >= epoch]
        peers = [list(point) for point in reached if point is not None]
        points = np.array([list(course[-1]), *peers], dtype=np.float64)
        keep = math.ceil(len(points) / self.factor)
        return 0 not in RULES[self.rule](points, keep)


@dataclass(frozen=True)
class Replay:
    """What a pruner would have done to trials whose whole courses are known.

    Attributes:
        epochs: Epochs that were run.
        survivors: Numbers of the trials that were not stopped.
    """

    epochs: int
    survivors: tuple[int, ...]


def replay(pruner: RungPruner, courses: Sequence[Course]) -> Replay:
    """Return what happens when trials with these courses come one after the other.

    Args:
        pruner: The pruner.
        courses: The whole course of each trial, all of one length.
    """
    known: dict[int, Course] = {}
    survivors: list[int] = []
    for number, course in enumerate(courses):
        length = len(course)
        for epoch in range(1, length):
            if pruner.stops(number, course[:epoch], known):
                length = epoch
                break
        else:
            survivors.append(number)
        known[number] = course[:length]
    return Replay(sum(len(course) for course in known.values()), tuple(survivors))


__all__ = ["RULES", "Course", "Replay", "RungPruner", "replay"]
