"""Photos with labels from a table or from their names, to score a network on images of one's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np
from torch import Tensor

from sfg_nas.data import utkface
from sfg_nas.data.label_images import LabelFile, label_files
from sfg_nas.data.table_tasks import ColumnTask
from sfg_nas.data.tables import Table, listed, read_table
from sfg_nas.data.troubles import Trouble
from sfg_nas.data.unseen import file_column, find_photos, photos_of_rows
from sfg_nas.errors import DataError, explain
from sfg_nas.tasks import Cell, Task, WrongLabelError

LABELS_OF_NAME: dict[str, Callable[[str], Mapping[str, int] | None]] = {
    "utkface": utkface.labels_of_name
}
"""How a data set's file names hold labels, where they do."""

SPLIT_COLUMN = "split"


@dataclass(frozen=True, eq=False)
class LabelledPhotos:
    """Files and what is known about them.

    Attributes:
        paths: The files, which need not exist.
        targets: For each task that has labels the labels [N], missing ones as in an image set.
        label_images: For each dense task that has some, one for each file.
    """

    paths: tuple[Path, ...]
    targets: Mapping[str, Tensor]
    label_images: Mapping[str, tuple[LabelFile, ...]] = field(default_factory=dict)


def photos_of_table(
    table: Path,
    part: str | None,
    folder: Path | None,
    *,
    kind: str,
    tasks: Sequence[Task],
    columns: Mapping[str, tuple[str, ...]] | None = None,
) -> LabelledPhotos:
    """Return the photos that a table, CSV or Parquet, names.

    Labels stand in the columns that the training table had, or in columns named as the tasks, an empty cell being a
    missing one; where there is none, those that the file names hold are taken, for data sets that keep labels there.

    Args:
        table: The file, with a column `file`, and a column `split` if a part is asked for.
        part: Only the rows with this word in `split`; None for all.
        folder: What the file names are relative to; None for the table's folder, or the data set's folder beside it.
        kind: The data set that the network was trained on.
        tasks: The network's tasks.
        columns: Where the training table held images and labels (see `DataBundle`).

    Raises:
        DataError: If the table, the part or a label is wrong, or no task has labels.
    """
    rows = read_table(table)
    known = dict(columns or {})
    column = file_column(rows, known.get("", ()))
    if part is not None:
        split = (_there(rows, known.get("/split", ())) or (SPLIT_COLUMN,))[0]
        parts = rows.column(split) if split in rows.columns else [""] * len(rows)
        kept = [place for place, own in enumerate(parts) if own == part]
        if not kept:
            rule = f"a part in the column `{split}` is needed"
            do = f"the parts there are {listed(sorted(set(parts) - {''})) or 'none'}"
            _refuse(table, rule, repr(part), do)
        rows = rows.only(kept)
    names = rows.column(column)
    base = _base(folder or table.parent, kind, names[0])
    labels = _labels_of_names(names, kind)
    paths = photos_of_rows(rows, column, base)
    images: dict[str, tuple[LabelFile, ...]] = {}
    for task in tasks:
        own = _there(rows, known.get(task.name, ())) or _there(rows, (task.name,))
        if own and task.dense:
            images[task.name] = tuple(label_files(rows, own[0], paths, folder))
        elif own:
            labels[task.name] = _labels_of_column(task, rows, own)
    return _labelled(paths, labels, tasks, table, images)


def photos_of_folder(folder: Path, *, kind: str, tasks: Sequence[Task]) -> LabelledPhotos:
    """Return the photos of a folder, with the labels that their names hold.

    Args:
        folder: All files below it are taken.
        kind: The data set that the network was trained on.
        tasks: The network's tasks.

    Raises:
        DataError: If no name holds a label.
    """
    paths = find_photos([folder])
    labels = _labels_of_names([path.name for path in paths], kind)
    return _labelled(paths, labels, tasks, folder)


def _there(table: Table, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return columns if the table has all of them, else none."""
    return columns if set(columns) <= set(table.columns) else ()


def _labels_of_column(task: Task, table: Table, columns: tuple[str, ...]) -> list[Cell]:
    troubles: list[Trouble] = []
    labels = ColumnTask(task, columns, _one_for_each(task, table, columns)).labels(table, troubles)
    if troubles:
        raise DataError("\n".join(map(str, troubles)))
    return list(labels)


def _one_for_each(task: Task, table: Table, columns: tuple[str, ...]) -> bool:
    """Return whether each label has a column of its own, which says yes or no; the labels' names may be others."""
    if not task.rules.many_columns or len(columns) > 1 or task.outputs > 1:
        return len(columns) > 1
    return any(cell and _yes_or_no(task, cell) for cell in table.column(columns[0]))


def _yes_or_no(task: Task, cell: str) -> bool:
    try:
        task.rules.parse_columns(task, [cell])
    except WrongLabelError:
        return False
    return True


def _base(folder: Path, kind: str, first: str) -> Path:
    inner = folder / kind
    return inner if inner.is_dir() and not (folder / first).exists() else folder


def _labels_of_names(names: Sequence[str], kind: str) -> dict[str, list[Cell]]:
    read = LABELS_OF_NAME.get(kind)
    found = [read(Path(name).name) or {} for name in names] if read is not None else []
    tasks = dict.fromkeys(task for labels in found for task in labels)
    return {task: [float(labels.get(task, math.nan)) for labels in found] for task in tasks}


def _labelled(
    paths: Sequence[Path],
    labels: Mapping[str, Sequence[Cell]],
    tasks: Sequence[Task],
    where: Path,
    images: Mapping[str, tuple[LabelFile, ...]] | None = None,
) -> LabelledPhotos:
    targets: dict[str, Tensor] = {}
    images = {name: own for name, own in (images or {}).items() if any(label.file for label in own)}
    for task in (task for task in tasks if not task.dense):
        known = task.targets(np.array(labels.get(task.name, ()), dtype=np.float64), str(where))
        if bool(task.labelled(known).any()):
            targets[task.name] = known
    if not targets and not images:
        names = ", ".join(task.name for task in tasks)
        rule = "labels are needed, in a table's columns or in the file names"
        do = f"give --split TABLE.csv with a column `file` and one of {names}"
        _refuse(where, rule, f"none for {len(paths)} files", do)
    return LabelledPhotos(tuple(paths), targets, images)


def _refuse(where: Path, rule: str, found: str, do: str) -> NoReturn:
    raise DataError(explain(where=str(where), rule=rule, found=found, do=do))
