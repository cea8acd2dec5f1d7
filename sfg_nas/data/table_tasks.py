"""From the columns of a table to tasks and their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from sfg_nas.data.tables import MISSING, Table
from sfg_nas.data.troubles import Options, Trouble, nearest
from sfg_nas.errors import ConfigError
from sfg_nas.tasks import TASK_KINDS, Cell, Encoding, Task, WrongLabelError, encoding_of

PIXEL_KEYS = tuple(key.name for key in fields(Encoding))
KEYS = {
    "kind": "What is predicted.",
    "column": "The column with the labels, or with the paths of label images; the task's name if left out.",
    "columns": "One yes-or-no column for each label (multi-label).",
    "unit": "Of the numbers, for example years.",
    "classes": "Names in the order of the outputs; levels from low to high; of a segmentation the background first.",
    "class_weights": "balanced, a list, or a mapping by class.",
    "likelihood": "Of the numbers' errors.",
    "values": "The pixel of each class in label images: whole numbers, or colours such as '#ff8000'.",
    "missing": "Pixels of label images that say nothing.",
    "factor": "What the pixels of label images are multiplied by to be in the unit.",
}
"""What may stand in the entry of a task, and what it means."""
MOST_SHOWN = 10
"""Wrong cells of one task that are named one by one."""


@dataclass(frozen=True, eq=False)
class ColumnTask:
    """A task and where its labels stand.

    Attributes:
        task: Not measured yet.
        columns: One, or one for each label.
        many: Whether there is a yes-or-no column for each label.
        encoding: Of the label images that the column of a dense task names.
    """

    task: Task
    columns: tuple[str, ...]
    many: bool = False
    encoding: Encoding = field(default_factory=Encoding)

    def labels(self, table: Table, troubles: list[Trouble]) -> NDArray[np.float64]:
        """Return the labels of all rows, NaN where they are missing or wrong.

        Args:
            table: Holds the columns.
            troubles: Where wrong cells are taken down.
        """
        cells = zip(*(table.column(name) for name in self.columns), strict=True)
        labels: list[Cell] = []
        blank = self.task.missing_targets(1)[0].double().numpy() * np.nan
        wrong = 0
        for place, row in enumerate(cells):
            try:
                labels.append(self._label(row))
            except WrongLabelError as error:
                wrong += 1
                labels.append(tuple(blank) if blank.ndim else float("nan"))
                if wrong <= MOST_SHOWN:
                    where = f"{table.where(place)}: {', '.join(self.columns)}"
                    found, do = str(error.found), "correct the cell"
                    troubles.append(Trouble((), error.rule, found, do, where))
        if wrong > MOST_SHOWN:
            rule = "each cell must hold a label or nothing"
            where, found = f"{table.path}: {', '.join(self.columns)}", f"{wrong} that do not"
            troubles.append(Trouble((), rule, found, "correct them, or change the kind", where))
        return np.array(labels, dtype=np.float64)

    def _label(self, row: Sequence[str]) -> Cell:
        rules = self.task.rules
        return rules.parse_columns(self.task, row) if self.many else rules.parse(self.task, row[0])


def tasks_of(options: Options, table: Table | None) -> list[ColumnTask]:
    """Return the tasks that `data.tasks` names, those that are right; the others are taken down.

    Args:
        options: Of the data set.
        table: None if it could not be read; then only what needs no table is checked.
    """
    entries = options.given.get("tasks")
    if not isinstance(entries, Mapping) or not entries:
        do = "write for example tasks: {age: {kind: regression, column: age, unit: years}}"
        found = "nothing" if not entries else repr(entries)
        options.refuse(
            ("tasks",), "a mapping from task to its kind and column is needed", found, do
        )
        return []
    found_tasks = [_task(options, str(name), entry, table) for name, entry in entries.items()]
    return [found for found in found_tasks if found is not None]


def _task(options: Options, name: str, entry: object, table: Table | None) -> ColumnTask | None:
    path = ("tasks", name)
    if not isinstance(entry, Mapping):
        rule, do = "a mapping with `kind` and `column` is needed", f"kinds: {', '.join(TASK_KINDS)}"
        options.refuse(path, rule, repr(entry), do)
        return None
    for key in entry:
        if key not in KEYS:
            rule, do = "a task of a table has no such key", nearest(str(key), KEYS, "keys")
            options.refuse((*path, str(key)), rule, f"`{key}`", do)
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in TASK_KINDS:
        do = nearest(str(kind), TASK_KINDS, "kinds") if kind is not None else "add `kind: ...`"
        here = (*path, "kind") if "kind" in entry else path
        options.refuse(here, f"one of {', '.join(TASK_KINDS)} is needed as `kind`", repr(kind), do)
        kind = None
    columns = _columns(options, path, name, entry, table)
    if kind is None or not columns or table is None or set(entry) - set(KEYS):
        return None
    return _built(options, path, name, kind, entry, columns, table)


def _columns(
    options: Options,
    path: tuple[str, ...],
    name: str,
    entry: Mapping[str, object],
    table: Table | None,
) -> tuple[str, ...]:
    """Return the columns of a task; none (and a word about it) if one does not exist."""
    known = table.columns if table is not None else None
    many = entry.get("columns")
    if many is None:
        if "column" in entry:
            here, given = (*path, "column"), entry["column"]
        else:  # a column that is named as the task need not be named twice
            here, given = path, name
        column = options.column(here, given, known)
        return (column,) if column else ()
    kind = TASK_KINDS.get(str(entry.get("kind")))
    here = (*path, "columns")
    if kind is not None and not kind.many_columns:
        rule = f"a task of kind {entry.get('kind')} has one column"
        options.refuse(here, rule, repr(many), "write `column: ...`")
        return ()
    if "column" in entry or not isinstance(many, list | tuple) or not many:
        rule, do = "a list of columns, in place of `column`, is needed", "keep one of the two"
        options.refuse(here, rule, repr(many), do)
        return ()
    checked = [options.column((*here, i), column, known) for i, column in enumerate(many)]
    return tuple(str(column) for column in checked) if all(checked) else ()


def _built(
    options: Options,
    path: tuple[str, ...],
    name: str,
    kind: str,
    entry: Mapping[str, object],
    columns: tuple[str, ...],
    table: Table,
) -> ColumnTask | None:
    classes = entry.get("classes") or ()
    if not isinstance(classes, list | tuple):
        here = (*path, "classes")
        options.refuse(here, "a list of names is needed", repr(classes), "write [a, b, c]")
        return None
    names = [str(item) for item in classes] or (list(columns) if "columns" in entry else [])
    if "columns" in entry and len(names) != len(columns):
        rule, do = "one of `classes` for each of `columns` is needed", "name each label once"
        found = f"{len(names)} classes, {len(columns)} columns"
        options.refuse((*path, "classes"), rule, found, do)
        return None
    lost = [item for item in classes if item is None or str(item).strip().lower() in MISSING]
    if lost and "columns" not in entry and not TASK_KINDS[kind].dense:
        rule = "names other than those of a missing label (such as NA and null) are needed"
        do = "give the class another name, in the table and here"
        options.refuse((*path, "classes"), rule, repr(lost[0]), do)
        return None
    encoding = _encoding(options, path, kind, entry, names)
    if encoding is None:
        return None
    try:
        fields = TASK_KINDS[kind].fields_of(table.column(columns[0]), names)
    except WrongLabelError as error:
        here = (*path, "classes") if classes else (*path, "column")
        do = "correct the column, its kind or `classes`"
        options.refuse(here, error.rule, str(error.found), do)
        return None
    own = {key: entry[key] for key in ("unit", "likelihood") if entry.get(key) is not None}
    weights = _weights(options, path, entry.get("class_weights"), fields.get("classes"))
    try:
        task = Task(name, kind, **fields, **own, class_weights=weights)  # type: ignore[arg-type]
    except (ConfigError, TypeError) as error:
        rule, do = "a task that is possible is needed", "change what stands here"
        options.refuse(path, rule, f"({error})", do)
        return None
    return ColumnTask(task, columns, many="columns" in entry, encoding=encoding)


def _encoding(
    options: Options,
    path: tuple[str, ...],
    kind: str,
    entry: Mapping[str, object],
    names: Sequence[str],
) -> Encoding | None:
    """Return how label images are read; None (and a word about it) if what is said about it is wrong."""
    allowed = TASK_KINDS[kind].pixel_keys
    foreign = [key for key in PIXEL_KEYS if key in entry and key not in allowed]
    for key in foreign:
        do = f"it has {', '.join(allowed)}" if allowed else "leave it out"
        options.refuse((*path, key), f"a task of kind {kind} has no such key", f"`{key}`", do)
    try:
        encoding = encoding_of(entry)
    except WrongLabelError as error:
        options.refuse(path, error.rule, str(error.found), "correct the list or the number")
        return None
    if encoding.values and len(encoding.values) != len(names):
        rule = "one of `values` for each of `classes` is needed"
        found = f"{len(encoding.values)} values, {len(names)} classes"
        options.refuse((*path, "values"), rule, found, "name each class once")
        return None
    return None if foreign else encoding


def _weights(
    options: Options, path: tuple[str, ...], given: object, classes: object
) -> tuple[float, ...] | str:
    """Return class weights in the order of the classes: `balanced`, a list, or a mapping by class."""
    if given is None:
        return ()
    if isinstance(given, Mapping) and isinstance(classes, tuple):
        by_name = {str(name): weight for name, weight in given.items()}
        for name in [*by_name, *classes]:
            if name not in classes or name not in by_name:
                rule = f"a weight for each of {', '.join(classes)} is needed"
                found = f"`{name}` " + ("which is none" if name not in classes else "without one")
                options.refuse((*path, "class_weights"), rule, found, "name each class once")
                return ()
        given = [by_name[name] for name in classes]
    if isinstance(given, list | tuple) and all(isinstance(w, int | float) for w in given):
        return tuple(float(w) for w in given)
    if given == "balanced":
        return "balanced"
    rule = "`balanced`, a list of numbers, or a mapping from class to number is needed"
    options.refuse((*path, "class_weights"), rule, repr(given), "write one of the three")
    return ()
