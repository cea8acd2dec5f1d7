"""What a run's small JSON files hold, checked: they may be damaged, or a stranger's."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from sfg_nas.errors import ArchitectureError, explain
from sfg_nas.files import read_json, read_text

STATES = ("complete", "pruned", "failed", "running")
Check = Callable[[object], bool]


def is_number(value: object) -> bool:
    """Return whether a value is a number (a boolean is none)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: object) -> bool:
    """Return whether a value is a whole number that is not negative."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_text(value: object) -> bool:
    """Return whether a value is text."""
    return isinstance(value, str)


def are_numbers(value: object) -> bool:
    """Return whether a value is a mapping of names to numbers."""
    return isinstance(value, dict) and all(is_number(v) for v in value.values())


def is_finite(value: object) -> bool:
    """Return whether a value is a number that a float can hold, and neither infinite nor NaN."""
    return isinstance(value, int | float) and is_number(value) and abs(value) <= sys.float_info.max


def is_record(value: object, checks: Mapping[str, Check]) -> bool:
    """Return whether a value is an object with these keys and no others, whose values pass their checks."""
    if not isinstance(value, dict) or set(value) != set(checks):
        return False
    return all(check(value[key]) for key, check in checks.items())


def read_object(
    path: Path,
    *,
    what: str,
    keys: dict[str, Check],
    optional: Collection[str] = (),
    others: bool = False,
) -> dict[str, object]:
    """Return the object in a JSON file whose values pass their checks.

    Args:
        path: The file.
        what: What it should hold, in words.
        keys: The check of each key.
        optional: Keys that may be missing.
        others: Whether there may be more keys.

    Raises:
        ArchitectureError: The file is missing, damaged, or holds something else.
    """
    content = read_json(path, what=what)
    if not isinstance(content, dict):
        raise _damaged(path, what, f"a {type(content).__name__}")
    missing = sorted(set(keys) - set(content) - set(optional))
    odd = [] if others else sorted(set(content) - set(keys))
    wrong = [key for key, check in keys.items() if key in content and not check(content[key])]
    for fault, found in (("no", missing), ("an unknown", odd), ("a wrong value of", wrong)):
        if found:
            raise _damaged(path, what, f"{fault} `{str(found[0])[:50]}`")
    return content


def _damaged(path: Path, what: str, found: str) -> ArchitectureError:
    rule, do = f"{what} is needed", "restore the file"
    return ArchitectureError(explain(where=str(path), rule=rule, found=found, do=do))


def read_table(
    path: Path,
    *,
    what: str,
    texts: Collection[str] = (),
    numbers: Collection[str] = (),
    counts: Collection[str] = (),
) -> pd.DataFrame:
    """Return a CSV file whose columns hold what they should; an empty file is a table without rows.

    Args:
        path: The file.
        what: What it should hold, in words.
        texts: Columns of text.
        numbers: Columns of numbers, some of which may be missing.
        counts: Columns of whole numbers that are not negative.

    Raises:
        ArchitectureError: The file is missing or damaged, or a column is.
    """
    text = read_text(path)
    if not text.strip():
        return pd.DataFrame(columns=[*texts, *numbers, *counts])
    try:
        frame = pd.read_csv(io.StringIO(text))
    except (ValueError, OverflowError, RecursionError) as err:
        raise _damaged(path, what, (str(err) or type(err).__name__)[:200]) from err
    missing = [name for name in (*texts, *numbers, *counts) if name not in frame.columns]
    if missing:
        raise _damaged(path, what, f"no column `{missing[0]}`")
    for name in frame.columns:
        column = frame[name]
        if name in texts:
            frame[name] = column.astype(str)
            sound = not column.isna().any()
        elif name in numbers or name in counts:
            sound = column.dtype.kind in "iuf"
        else:
            continue
        if name in counts and sound:
            sound = bool((np.isfinite(column) & (column >= 0) & (column % 1 == 0)).all())
        if not sound:
            raise _damaged(path, what, f"a wrong value in the column `{name}`")
    return frame


def read_state(path: Path) -> dict[str, object]:
    """Return the content of a trial's `state.json`.

    Args:
        path: The file.

    Raises:
        ArchitectureError: The file is damaged.
    """
    return read_object(
        path,
        what="the state of a trial",
        keys={
            "state": lambda value: value in STATES,
            "values": lambda value: isinstance(value, list) and all(is_number(v) for v in value),
            "reason": is_text,
        },
        optional=("values", "reason"),
        others=True,
    )


def read_ledger(path: Path) -> dict[str, object]:
    """Return the content of a trial's `ledger.json`.

    Args:
        path: The file.

    Raises:
        ArchitectureError: The file is damaged.
    """

    def is_steps(value: object) -> bool:
        if not isinstance(value, dict) or not all(are_numbers(step) for step in value.values()):
            return False
        return "delta" in value.get("fixed", {})

    return read_object(
        path,
        what="the ledger of a trial",
        keys={
            "steps": is_steps,
            "macs": is_count,
            "params": is_count,
            "relative_macs": is_number,
            "difference": is_number,
            "seconds": is_number,
            "retrained": lambda value: value is None or are_numbers(value),
            "choice": lambda value: isinstance(value, dict),
        },
        optional=("retrained", "choice"),
    )


def read_metrics(
    path: Path, *, parts: Collection[str] = ("validation", "test")
) -> dict[str, object]:
    """Return the content of a retrained network's `metrics.json`.

    Args:
        path: The file.
        parts: The parts of the data that it must have scores on.

    Raises:
        ArchitectureError: The file is damaged.
    """
    return read_object(
        path,
        what="metrics of a retrained network",
        keys=dict.fromkeys(parts, are_numbers),
        others=True,
    )
