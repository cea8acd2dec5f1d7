"""Δ: how much better than its references a network is, over all tasks."""

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
    gains = []
    for task in tasks:
        value, reference = _metric(values, task), _metric(references, task)
        if reference == 0:
            raise TrainingError(
                explain(
                    where=f"relative_gain: {task.key}",
                    rule="a reference other than 0 is needed",
                    found="0",
                    do="train the reference network longer",
                )
            )
        sign = 1.0 if task.higher_is_better else -1.0
        gains.append(sign * (value - reference) / reference)
    return math.fsum(gains) / len(gains)


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
