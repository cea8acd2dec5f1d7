"""A look at a table that nobody has described yet: which column holds what, and why that is a good guess."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sfg_nas.data.guess_images import guess_label_images
from sfg_nas.data.label_images import base_of
from sfg_nas.data.table_parts import PARTS
from sfg_nas.data.tables import IMAGES, Table, listed
from sfg_nas.data.unseen import usual_columns
from sfg_nas.errors import DataError, explain
from sfg_nas.groups import RESERVED
from sfg_nas.tasks import TASK_KINDS, WrongLabelError, number_in

_SPLITS = ("split", "part", "subset", "partition", "set", "fold", "usage")
_GROUPS = re.compile(
    r"^(patient|subject|person|identity|group|family|case|participant|donor|animal)s?"
    r"([ _.-]*(id|no|nr|number|code|key|uid))?\.?$"
)
_UNITS = {
    "age": "years", "years": "years", "days": "days", "mm": "mm", "cm": "cm", "kg": "kg", "px": "pixels",
    "pixels": "pixels", "deg": "degrees", "degrees": "degrees", "percent": "percent", "seconds": "seconds",
}  # fmt: skip
_LEVELS = (
    ("very low", "low", "medium", "high", "very high"),
    ("low", "moderate", "high"),
    ("low", "mid", "high"),
    ("none", "mild", "moderate", "severe"),
    ("poor", "fair", "good", "very good", "excellent"),
    ("bad", "ok", "good"),
    ("small", "medium", "large"),
)
_UNUSUAL = re.compile(rf"[/.\s\"\\{re.escape(RESERVED)}]+")
"""What names of tasks do without: groups, files or columns of theirs could not be told apart."""
_DATE = re.compile(r"\d{1,4}([-/.:])\d{1,2}\1\d{1,4}")
_FEW = 10
"""Different whole numbers up to which a column counts as one of classes."""
_MANY_FLAGS = 4
"""Yes-or-no columns from which on they become the labels of one task."""


@dataclass(frozen=True)
class ColumnGuess:
    """What a column may be.

    Attributes:
        name: Of the task, or of the column that is left out.
        entry: Of the task in a study file; empty if the column is left out.
        why: In a reader's words.
    """

    name: str
    entry: dict[str, object]
    why: str


@dataclass(frozen=True)
class TableGuess:
    """What a table may be.

    Attributes:
        image: The column with the images' paths.
        split: The column with the parts, or None.
        group: The column that says what belongs together, or None.
        tasks: One for each column with labels.
        left_out: Columns that hold none, with the reason.
    """

    image: str
    split: str | None
    group: str | None
    tasks: tuple[ColumnGuess, ...]
    left_out: tuple[ColumnGuess, ...]


def guess_table(table: Table, root: Path | None = None) -> TableGuess:
    """Return what the columns of a table may be.

    Args:
        table: Any; label images that it names are looked at.
        root: Another folder than the table's where they may lie.

    Raises:
        DataError: If no column seems to hold paths of images, or none labels.
    """
    cells = {name: table.column(name) for name in table.columns}
    image = _image(table, cells)
    left = [name for name in table.columns if name != image]
    words = {word for words in PARTS.values() for word in words}
    split = next((n for n in left if n.lower() in _SPLITS and _within(cells[n], words)), None)
    group = next((name for name in left if _GROUPS.match(name.lower())), None)
    left = [name for name in left if name not in (split, group)]
    flags = [name for name in left if _is_flag(cells[name])]
    guesses: list[ColumnGuess] = []
    if len(flags) >= _MANY_FLAGS:
        left = [name for name in left if name not in flags]
        why = f"{len(flags)} columns hold only yes and no; together they are one multi-label task"
        guesses.append(ColumnGuess("labels", {"kind": "multi-label", "columns": flags}, why))
    named = [name for name in left if _names_files(cells[name])]
    guesses += [
        _of_files(table, name, cells[name], root) if name in named else _guess(name, cells[name])
        for name in left
    ]
    tasks = _named_apart([guess for guess in guesses if guess.entry])
    if not tasks:
        reasons = "; ".join(f"{guess.name}: {guess.why}" for guess in guesses) or "no other column"
        rule, do = "a column with labels is needed", "write the study file by hand"
        raise DataError(explain(where=str(table.path), rule=rule, found=reasons, do=do))
    left_out = tuple(guess for guess in guesses if not guess.entry)
    return TableGuess(image, split, group, tasks, left_out)


def _names_files(cells: Sequence[str]) -> bool:
    known = [cell for cell in cells if cell]
    return bool(known) and all(cell.lower().endswith(IMAGES) for cell in known)


def _of_files(table: Table, name: str, cells: Sequence[str], root: Path | None) -> ColumnGuess:
    """Return the guess of a column that names images: what their pixels say."""
    base = base_of(cells, table.path.parent, root)
    entry, why = guess_label_images(name, [base / cell for cell in cells if cell])
    full: dict[str, object] = {"kind": entry["kind"], "column": name, **entry} if entry else {}
    return ColumnGuess(_task_name(name), full, why)


def _image(table: Table, cells: dict[str, list[str]]) -> str:
    def share(name: str) -> float:
        known = [cell for cell in cells[name] if cell]
        return sum(cell.lower().endswith(IMAGES) for cell in known) / max(1, len(known))

    usual = [name for name in usual_columns(table.columns) if share(name) > 0.5]
    ranked = usual or [name for name in table.columns if share(name) > 0.5]
    if not ranked:
        rule = "a column with the paths of images is needed"
        found, do = f"the columns {listed(table.columns)}", "add one, such as `file`"
        raise DataError(explain(where=str(table.path), rule=rule, found=found, do=do))
    return ranked[0]


def _guess(name: str, cells: Sequence[str]) -> ColumnGuess:
    known = [cell for cell in cells if cell]
    counts = Counter(known)
    numbers = _numbers(known)
    if len(counts) < 2:
        return ColumnGuess(name, {}, "it says the same, or nothing, in every row")
    if numbers is not None:
        return _of_numbers(name, cells, numbers, counts)
    odd = [cell for cell in counts if _numbers([cell]) is None]
    if len(known) - sum(counts[cell] for cell in odd) > 0.8 * len(known):
        why = f"it holds numbers, but also {listed(map(repr, odd), 3)}: empty these cells for a regression"
        return ColumnGuess(name, {}, why)
    if all(_DATE.match(cell) for cell in known):
        return ColumnGuess(
            name, {}, "it holds dates or times: write numbers, such as days, to predict them"
        )
    lists = [cell for cell in known if ";" in cell or "|" in cell]
    if lists:
        return _checked(
            name, cells, {"kind": "multi-label"}, f"cells such as {lists[0]!r} are lists"
        )
    for levels in _LEVELS:
        found = [level for level in levels if level in {cell.lower() for cell in known}]
        if len(found) == len(counts) > 2:
            classes = [next(cell for cell in counts if cell.lower() == level) for level in found]
            why = f"its words have an order: {', '.join(classes)}"
            return _checked(name, cells, {"kind": "ordinal", "classes": classes}, why)
    why = f"{len(counts)} different words: {listed(sorted(counts), 6)}"
    return _checked(name, cells, {"kind": "classification"}, why, counts)


def _of_numbers(
    name: str, cells: Sequence[str], numbers: Sequence[float], counts: Counter[str]
) -> ColumnGuess:
    whole = all(number.is_integer() for number in numbers)
    if (
        whole
        and len(counts) == len(numbers)
        and re.search(r"(^|_)(id|index|idx|number)$|^$|^unnamed: 0$", name.lower())
    ):
        return ColumnGuess(name, {}, "a different whole number in every row: a name, not a label")
    if whole and len(counts) <= _FEW and len(numbers) >= 3 * len(counts):
        why = f"{len(counts)} different whole numbers (if their order matters, write ordinal)"
        return _checked(name, cells, {"kind": "classification"}, why, counts)
    unit = _UNITS.get(re.split(r"[ _()\[\]]+", name.lower().strip("_)]"))[-1])
    why = f"numbers from {min(numbers):g} to {max(numbers):g}"
    return _checked(name, cells, {"kind": "regression"} | ({"unit": unit} if unit else {}), why)


def _checked(
    name: str,
    cells: Sequence[str],
    entry: Mapping[str, object],
    why: str,
    counts: Counter[str] | None = None,
) -> ColumnGuess:
    """Return the guess if its kind takes the column, with balanced weights where one class is most of it."""
    classes = entry.get("classes")
    try:
        TASK_KINDS[str(entry["kind"])].fields_of(
            cells, classes if isinstance(classes, list) else ()
        )
    except WrongLabelError as error:
        return ColumnGuess(name, {}, f"{error.rule}; found {error.found}")
    full: dict[str, object] = {"kind": entry["kind"], "column": name, **entry}
    if counts is not None and max(counts.values()) > 0.8 * sum(counts.values()):
        full["class_weights"] = "balanced"
        why += "; one of them in most rows, so that the classes are weighted"
    return ColumnGuess(_task_name(name), full, why)


def _task_name(column: str) -> str:
    """Return a name that a task may bear: `all` is the group of all of them."""
    seen = "".join(sign for sign in _UNUSUAL.sub("_", column) if sign.isprintable())
    name = seen.strip("_") or "task"
    return "all_" if name == "all" else name


def _named_apart(guesses: Sequence[ColumnGuess]) -> tuple[ColumnGuess, ...]:
    """Return tasks of which no two have one name, as those of the columns `a b` and `a_b` would."""
    found: dict[str, ColumnGuess] = {}
    for guess in guesses:
        name, count = guess.name, 1
        while name in found:
            count += 1
            name = f"{guess.name}_{count}"
        found[name] = replace(guess, name=name)
    return tuple(found.values())


def _numbers(cells: Sequence[str]) -> list[float] | None:
    numbers = [number for cell in cells if (number := number_in(cell)) is not None]
    return numbers if len(numbers) == len(cells) else None


def _within(cells: Sequence[str], words: set[str]) -> bool:
    return {cell.lower() for cell in cells if cell} <= words


def _is_flag(cells: Sequence[str]) -> bool:
    found = {cell.lower() for cell in cells if cell}
    return len(found) == 2 and found in (
        {"0", "1"}, {"-1", "1"}, {"true", "false"}, {"yes", "no"}, {"0.0", "1.0"},
    )  # fmt: skip
