"""What a network's scores come to over all tasks: Δ, its gain over references, and how near it is to perfect."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sfg_nas.errors import ConfigError, TrainingError, explain
from sfg_nas.tasks.task import Task


def relative_gain(
    values: Mapping[str, float], references: Mapping[str, float], tasks: Sequence[Task]
) -> float:
    """Return Δ, the mean relative gain over the references, signed so that more is better.

    Source: Maninis et al. 2019, "Attentive single-tasking of multiple tasks", section 4, where it is
    a drop against single-task networks.

    Args:
        values: The main metric of each task, by `task.key` (`age/mae`) or by the task's name.
        references: The same metrics of the reference networks.
        tasks: The tasks to average over, each counted once whatever its weight.

    Raises:
        ConfigError: If there is no task.
        TrainingError: If a metric is missing or a reference is 0.
    """
    if not tasks:
        raise ConfigError(
            explain(
                where="relative_gain",
                rule="a gain needs at least one task",
                found="none",
                do="pass the tasks of the data set",
            )
        )
    check_references(references, tasks)
    gains = []
    for task in tasks:
        value, reference = _metric(values, task), _metric(references, task)
        sign = 1.0 if task.higher_is_better else -1.0
        gains.append(sign * (value - reference) / reference)
    return math.fsum(gains) / len(gains)


def check_references(references: Mapping[str, float], tasks: Sequence[Task]) -> None:
    """Refuse references that nothing can be measured against: a gain relative to 0 is not defined.

    Args:
        references: The main metric of each task, as for `relative_gain`.
        tasks: The tasks.

    Raises:
        TrainingError: If a metric is missing or 0; with all that are 0.
    """
    wrong = [
        explain(
            where=f"reference of {task.key}",
            rule="a reference other than 0 is needed, as gains are relative to it",
            found="0",
            do="train it longer (references.epochs), or check the labels"
            if task.higher_is_better
            else "nothing is left to gain: leave the task out, or score it on more images",
        )
        for task in tasks
        if _metric(references, task) == 0
    ]
    if wrong:
        raise TrainingError("\n".join(wrong))


def mean_quality(values: Mapping[str, float], tasks: Sequence[Task]) -> float:
    """Return the mean over the tasks of the main metric as a number of which 1 is perfect.

    Args:
        values: The main metric of each task, by `task.key`.
        tasks: At least one.
    """
    return sum(task.quality(values[task.key]) for task in tasks) / len(tasks)


def _metric(values: Mapping[str, float], task: Task) -> float:
    for key in (task.key, task.name):
        if key in values:
            return values[key]
    raise TrainingError(
        explain(
            where=f"relative_gain: {task.name}",
            rule=f"a value for {task.key!r} is needed",
            found=", ".join(sorted(values)) or "nothing",
            do="evaluate the network on this task",
        )
    )
