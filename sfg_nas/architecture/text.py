"""Small texts in architecture files, and how they are written."""

from __future__ import annotations

import os
from pathlib import Path

from sfg_nas.errors import ArchitectureError, explain

MOST_IN_A_NODE = 2**20
AGAIN = "export the architecture again"


def encode_ranges(values: list[int]) -> str:
    """Return a list of indices as text, runs of consecutive ones as `first-last`.

    Example:
        >>> encode_ranges([0, 1, 2, 7, 9, 10])
        '0-2,7,9-10'
    """
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def decode_ranges(text: str, *, where: str) -> list[int]:
    """Return the indices that `encode_ranges` wrote.

    Raises:
        ArchitectureError: The text is not such a list, or names over a million indices.
    """
    values: list[int] = []
    for run in text.split(",") if text else []:
        first, dash, last = run.partition("-")
        for number in (first, last) if dash else (first,):
            if not (number.isascii() and number.isdigit() and len(number) < 10):
                rule = "runs such as `0-2,7` are expected"
                raise format_error(f"{where}: channels", rule, repr(run)[:50])
        stop = int(last) if dash else int(first)
        if len(values) + stop - int(first) >= MOST_IN_A_NODE:
            rule = f"at most {MOST_IN_A_NODE} indices are read"
            raise format_error(f"{where}: channels", rule, repr(run))
        values.extend(range(int(first), stop + 1))
    return values


def write_text(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old or the new content, never a part."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def fault(place: str, rule: str, found: str, do: str) -> str:
    """Return one line of `lint`.

    Args:
        place: Name of a node, or `the graph`, or an edge in words.
        rule: What must hold.
        found: What was found instead.
        do: What the reader can do about it.
    """
    place, rule, found, do = (text[:200] for text in (place, rule, found, do))
    where = place if place == "the graph" or place.startswith("edge `") else f"`{place}`"
    return explain(where=where, rule=rule, found=found, do=do)


def format_error(where: str, rule: str, found: str, *, do: str = AGAIN) -> ArchitectureError:
    """Return the error of a graph that does not follow the format."""
    return ArchitectureError(explain(where=where, rule=rule, found=found, do=do))
