"""Class labels: names and numbers, checked; shared by the kinds that have classes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from sfg_nas.tasks.kind import Labels, TaskFields, WrongFieldError, WrongLabelError

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-][0-9]{1,3})?")
"""As programs write numbers. What only looks like one is a name (`1_0`, or the well `0E1` of a plate), and no digit of
a long code may be lost, so that codes that differ in the last one stay two classes."""


def class_of(task: TaskFields, cell: str, what: str) -> float:
    """Return the number of the class that a cell names; NaN where it is empty or says -1.

    Where the classes have names only these count, `3` and `3.0` being the same name; else the
    numbers from 0.

    Args:
        task: Its classes.
        cell: Of a table.
        what: What the classes are called.

    Raises:
        WrongLabelError: If it names none of them.
    """
    text = cell.strip()
    if not text or text.lower() == "nan":
        return math.nan
    if text in task.classes:
        return float(task.classes.index(text))
    number = _number(text)
    if task.classes:
        same = [k for k, name in enumerate(task.classes) if _number(name) == number]
        if number is not None and same:
            return float(same[0])
        raise WrongLabelError(f"a {what} out of {', '.join(task.classes)} is needed", repr(cell))
    if number == -1:
        return math.nan
    if number is not None and number in range(task.outputs):
        return float(number)
    raise WrongLabelError(
        f"a {what} from 0 to {task.outputs - 1}, or nothing, is needed", repr(cell)
    )


def check_classes(task: TaskFields, labels: Labels, what: str) -> Labels:
    """Return class labels, NaN where they are missing (-1).

    Args:
        task: Its number of classes.
        labels: Any shape.
        what: What the classes are called.

    Raises:
        WrongLabelError: If a label is none of them.
    """
    classes = np.where(labels == -1, math.nan, labels)
    known = classes[~np.isnan(classes)]
    wrong = known[(known != np.round(known)) | (known < 0) | (known >= task.outputs)]
    if wrong.size:
        rule = f"{what} from 0 to {task.outputs - 1}, or -1 where missing, are needed"
        raise WrongLabelError(rule, sorted(set(wrong.tolist()))[:5])
    return classes


def names_of(
    cells: Sequence[str], classes: Sequence[str], *, ordered: bool = False
) -> tuple[str, ...]:
    """Return the names of the classes: those given, or those that occur, numbers by size and words by alphabet.

    Args:
        cells: Of a column, missing ones empty.
        classes: In order; none for those that occur.
        ordered: Whether the order has a meaning, so that words must be given.

    Raises:
        WrongLabelError: If there are not two, words have no order, or there is one class per row, as in a column of names.
    """
    if classes:
        return tuple(classes)
    known = [cell for cell in cells if cell]
    found = {cell: _number(cell) for cell in set(known)}
    numbers = sorted(found.items(), key=lambda pair: pair[1] or 0)
    if all(value is not None for value in found.values()):
        same = {value: name for name, value in reversed(numbers)}  # `3` and `3.0` are one class
        _check_several(list(same.values()))
        return tuple(same[value] for value in sorted(same, key=lambda v: v or 0))
    _check_several(list(found))
    if ordered:
        shown = ", ".join(sorted(found)[:10])
        raise WrongLabelError("`classes`, the levels from low to high, are needed", shown)
    if len(found) > max(2, len(known) / 2):
        rule = "classes that occur more than once are needed"
        raise WrongLabelError(rule, f"{len(found)} different texts in {len(known)} rows")
    return tuple(sorted(found))


def _check_several(names: Sequence[str]) -> None:
    if len(names) < 2:
        raise WrongLabelError("at least 2 classes are needed", ", ".join(names) or "none")


def check_names(task: TaskFields, what: str) -> None:
    """Refuse names that are not one for each class.

    Args:
        task: Its classes, perhaps none.
        what: What the classes are called.

    Raises:
        WrongFieldError: If there are others than `outputs`, or one is there twice.
    """
    if task.classes and len(set(task.classes)) != task.outputs:
        rule = f"one name for each of the {task.outputs} {what} is needed"
        raise WrongFieldError("classes", rule, list(task.classes))


def refuse_class_weights(task: TaskFields) -> None:
    """Refuse class weights, for kinds without classes that exclude each other.

    Args:
        task: Any task.

    Raises:
        WrongFieldError: If it has some.
    """
    if task.class_weights:
        rule = "only a classification has class weights"
        raise WrongFieldError("class_weights", rule, task.class_weights)


def name_of(task: TaskFields, number: int) -> object:
    """Return the name of a class, or its number where it has none.

    Args:
        task: Its classes.
        number: From 0.
    """
    return task.classes[number] if task.classes else number


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text.strip()) else None
