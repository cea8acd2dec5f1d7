"""What a table and the options about it say, checked before any image is read; all that is wrong at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfg_nas.data.grey import Window
from sfg_nas.data.location import Location
from sfg_nas.data.table_parts import check_parts
from sfg_nas.data.table_tasks import ColumnTask, tasks_of
from sfg_nas.data.tables import Table, listed, read_table
from sfg_nas.data.troubles import Inspection, Options, nearest
from sfg_nas.data.unseen import FILE_COLUMNS, usual_columns
from sfg_nas.errors import DataError
from sfg_nas.tasks import Encoding

Labels = dict[str, NDArray[np.float64]]
COLOURS = {"rgb": 3, "grey": 1}
"""Channels of an image by the word for them."""
DUPLICATES = ("together", "ignore")
PART = 0.15
"""Share of the validation part, and of the test part, in a draw."""


@dataclass(frozen=True, eq=False)
class Examined:
    """What a table and the options about it say, before any image is read.

    Attributes:
        options: With all that is wrong.
        table: None if it could not be read.
        tasks: Those that are right.
        labels: Of these but the dense ones, `[rows, ...]`.
        image: The column with the images' paths.
        split: The column with the parts, if there is one.
        group: The column that says what belongs together, if there is one.
        stratify: Names of tasks whose proportions the parts keep.
        window: The grey values that become black and white, if they are given.
    """

    options: Options
    table: Table | None = None
    tasks: tuple[ColumnTask, ...] = ()
    labels: Labels = field(default_factory=dict)
    image: str | None = None
    split: str | None = None
    group: str | None = None
    stratify: tuple[str, ...] = ()
    window: Window | None = None

    def encodings(self) -> dict[str, Encoding]:
        """Return how the label images of each dense task are read."""
        return {own.task.name: own.encoding for own in self.tasks if own.task.dense}

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Return where the images (under ""), the parts (under "/split") and each task's labels stand."""
        named = {"": self.image, "/split": self.split}
        images = {key: (column,) for key, column in named.items() if column is not None}
        return images | {own.task.name: own.columns for own in self.tasks}


def examine(given: Mapping[str, object], location: Location) -> Examined:
    """Return what a table says, and all that is wrong with it and with the options.

    Args:
        given: The data set's options; what is missing has its default.
        location: Where the study file and the data root are.
    """
    options = Options(given)
    options.size("size", 64, 8)
    options.whole("seed", 0, 0)
    options.one_of("colour", "rgb", tuple(COLOURS))
    options.one_of("duplicates", "together", DUPLICATES)
    options.share("fraction", 1.0, whole=True)
    window = options.interval("window")
    parts = options.share("validation", PART) + options.share("test", PART)
    if parts >= 1:
        do = "leave something to train on"
        options.refuse(("test",), "validation + test below 1 is needed", f"{parts:g}", do)
    table = _table(options, location)
    tasks = tasks_of(options, table)
    columns = table.columns if table is not None else None
    image = _image(options, table)
    split, group = (
        options.column((key,), given[key], columns) if given.get(key) is not None else None
        for key in ("split", "group")
    )
    labels: Labels = {}
    if table is not None:
        if split is not None:
            check_parts(options, table, split)
        labels = {
            own.task.name: own.labels(table, options.troubles)
            for own in tasks
            if not own.task.dense
        }
    stratify = _stratify(options, split, [own.task.name for own in tasks if own.task.dense])
    return Examined(options, table, tuple(tasks), labels, image, split, group, stratify, window)


def inspect(given: Mapping[str, object], location: Location) -> Inspection:
    """Return a table's tasks and all that is wrong, without reading an image.

    Args:
        given: The data set's options.
        location: Where the study file and the data root are.
    """
    found = examine(given, location)
    entries = given.get("tasks")
    names = tuple(map(str, entries)) if isinstance(entries, Mapping) else None
    return Inspection(names, tuple(found.options.troubles))


def find_table(name: str, location: Location) -> Path | None:
    """Return the file that a table's name means, None if there is none.

    Args:
        name: As given: absolute, or relative to the study file, the working folder or the data root.
        location: Where these are.
    """
    path = Path(name).expanduser()
    folders = [location.beside, Path(), location.root]
    tried = [folder / path for folder in folders if folder is not None]
    if location.root is not None:
        tried.append(location.root / path.name)
    return next((file for file in tried if file.is_file()), None)


def _table(options: Options, location: Location) -> Table | None:
    name = options.text("table")
    if not name:
        do = "write `table: labels.csv`"
        options.refuse(
            ("table",) if "table" in options.given else (), "`table` is required", "nothing", do
        )
        return None
    path = find_table(name, location)
    if path is None:
        do = "give its path relative to the study file, to the working folder or to --data-root"
        options.refuse(("table",), "a table that exists is needed", f"no file {name}", do)
        return None
    try:
        return read_table(path)
    except DataError as error:
        options.refuse(("table",), "a table that can be read is needed", f"({error})", "see there")
        return None


def _image(options: Options, table: Table | None) -> str | None:
    columns = table.columns if table is not None else None
    if options.given.get("image") is not None:
        return options.column(("image",), options.given["image"], columns)
    if columns is None:
        return None
    usual = usual_columns(columns)
    if not usual:
        do = f"name the column: `image: ...` (the columns are {listed(columns)})"
        found = f"none of {', '.join(FILE_COLUMNS)}"
        options.refuse((), "a column with the paths of the images is needed", found, do)
        return None
    return usual[0]


def _stratify(options: Options, split: str | None, dense: Sequence[str]) -> tuple[str, ...]:
    given = options.given.get("stratify") or ()
    names = [given] if isinstance(given, str) else given
    entries = options.given.get("tasks")
    known = list(map(str, entries)) if isinstance(entries, Mapping) else []
    if not isinstance(names, list | tuple):
        options.refuse(
            ("stratify",), "a task or a list of tasks is needed", repr(given), "name one"
        )
        return ()
    for name in names:
        if name not in known:
            do = nearest(str(name), known, "tasks")
            options.refuse(("stratify",), "a task of this table is needed", f"`{name}`", do)
        if name in dense:
            rule, do = "a task with one label for each image is needed", "name another"
            options.refuse(("stratify",), rule, f"`{name}`, whose labels are images", do)
    if names and split is not None:
        do = "remove one of the two"
        options.refuse(("stratify",), "only parts that are drawn can be stratified", "`split`", do)
    return tuple(map(str, names))
