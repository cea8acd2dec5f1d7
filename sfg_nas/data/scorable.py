"""Whether every task can be learned and scored: each part of a data set needs labels of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from sfg_nas.data.bundle import DataBundle
from sfg_nas.data.images import Examples, ImageSet
from sfg_nas.data.volumes.patches import Patches
from sfg_nas.errors import DataError, explain
from sfg_nas.tasks import Task

_ROWS = 4096  # at a time: the first usually hold a label, and maps of all rows are large
_BATCH = 64

Known = Callable[[Tensor], Tensor]
"""Tells of targets `[N, *target_shape]` which examples say something, `[N]`."""


def check_scorable(data: DataBundle) -> None:
    """Refuse a data set with a part in which a task has no label: nothing is learned there, or its metric is no number.

    Args:
        data: With the tasks that are learned.

    Raises:
        DataError: If there is one; with all of them at once.
    """
    wrong = [
        text
        for name in ("train", "validation", "test")
        for task in data.tasks
        if (text := _trouble(data, name, task))
    ]
    if wrong:
        raise DataError("\n".join(wrong))


def _trouble(data: DataBundle, name: str, task: Task) -> str:
    part: Examples = getattr(data, name)
    if not _any(part, task, task.labelled):
        rule, found = "at least one image with a label is needed", f"none of {len(part):,} images"
    elif name != "train" and not _any(part, task, lambda own: task.rules.scored(task, own)):
        rule = f"{task.metric} needs at least one image with one of the labels"
        found = f"that none of {len(part):,} images has any"
    else:
        return ""
    columns = ", ".join(f"`{column}`" for column in data.columns.get(task.name, ()))
    what = f"{task.name} (column {columns})" if columns else task.name
    do = "label some of them, divide the data otherwise (another split, seed or fraction), or leave the task out"
    return explain(where=f"{data.name}: {name} part: {what}", rule=rule, found=found, do=do)


def _any(part: Examples, task: Task, known: Known) -> bool:
    if isinstance(part, Patches):
        return part.subjects_with(task.name) > 0
    return any(bool(known(targets).any()) for targets in _targets(part, task.name))


def _targets(part: Examples, task: str) -> Iterator[Tensor]:
    if isinstance(part, ImageSet):
        own = part.targets[task]
        yield from (own[row : row + _ROWS] for row in range(0, len(own), _ROWS))
    else:
        yield from (targets[task] for _, targets in part.batches(_BATCH))
