"""Atomic writes: a reader, or a process that starts after a kill, sees the old file or the new one, never a half."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sfg_nas.errors import TrainingError, explain
from sfg_nas.files import read_text


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place with one rename.

    The rename survives the death of the process at any moment. It is not flushed to the disk first, so it does not
    promise to survive the loss of power.

    Args:
        path: Where the file shall lie; its folder is made.
        write: Writes the file at the path it is given.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, name: str = "") -> None:
    """Remove the temporary files of a process that was killed while it wrote; call it under the lock of what it wrote.

    Args:
        folder: Where to look; it need not exist.
        name: Name of the file that was written; empty for all of them.
    """
    for part in folder.glob(f"*{name}.*.part"):
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, atomically.

    Args:
        path: Where the file shall lie.
        text: Its content.
    """
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, atomically; a number that is not finite is refused.

    Args:
        path: Where the file shall lie.
        value: Mappings, sequences, text, numbers, booleans or None.

    Raises:
        ValueError: If a number is NaN or infinite, which JSON cannot hold.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_rows(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write rows as CSV, atomically; the columns are the keys in the order in which they first appear.

    Numbers are written so that reading them back gives the same numbers.

    Args:
        path: Where the file shall lie.
        rows: One mapping from column to number for each row; what a row lacks stays empty.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [",".join(columns)]
    lines += [",".join(repr(row[key]) if key in row else "" for key in columns) for row in rows]
    write_text(path, "\n".join(lines) + "\n")


def read_rows(path: Path) -> list[dict[str, float]]:
    """Return the rows that `write_rows` wrote; what a row lacks is left out.

    Args:
        path: The file.

    Raises:
        TrainingError: If the file is damaged.
    """
    try:
        head, *lines = read_text(path, error=TrainingError).splitlines()
        pairs = [zip(head.split(","), line.split(","), strict=True) for line in lines]
        return [{key: float(text) for key, text in row if text} for row in pairs]
    except ValueError as error:
        rule, do = "a table of numbers is needed", "remove the file"
        found = str(error)[:200]
        raise TrainingError(explain(where=str(path), rule=rule, found=found, do=do)) from error
