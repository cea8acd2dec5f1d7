"""What a person reads: results on stdout, notes and progress on stderr."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence

from sfg_nas.cli.options import Common

Row = Mapping[str, object]
GAP = 2
"""Spaces between the columns of a table."""


def quoted(path: object) -> str:
    """Return a path as a shell takes it, for a command that is shown.

    Args:
        path: A path or its text.
    """
    return shlex.quote(str(path))


def result(text: str) -> None:
    """Write a line of a result.

    Args:
        text: One line, or several.
    """
    sys.stdout.write(f"{text}\n")


def json_result(value: object) -> None:
    """Write a result as JSON; numbers that are not finite become null.

    Args:
        value: Mappings, lists and plain values.
    """
    everything = (sys.stdout.encoding or "utf-8").lower() in ("utf-8", "utf8")
    text = json.dumps(_finite(value), indent=2, ensure_ascii=not everything, default=str)
    result(text)


def note(text: str, common: Common | None = None) -> None:
    """Write a line for whoever watches, unless they asked for quiet.

    Args:
        text: One line.
        common: The shared options; None writes in any case.
    """
    if common is None or not common.quiet:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def table(rows: Sequence[Row], *, title: str = "") -> None:
    """Write rows as a table: with Rich on a terminal, as aligned columns elsewhere.

    Args:
        rows: One mapping per row; the first row's keys are the columns.
        title: Stands above it.
    """
    if not rows:
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[cell(row.get(column), column) for column in columns] for row in rows]
    if title:
        result(title)
    if sys.stdout.isatty():
        _rich_table(columns, cells)
        return
    widths = [max(len(row[i]) for row in [columns, *cells]) for i in range(len(columns))]
    for row in [columns, *cells]:
        result(
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        )


def cell(value: object, column: str = "") -> str:
    """Return a value as a reader wants it in a table.

    Args:
        value: Text, a number or nothing.
        column: Its column; Δ is written with its sign.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) >= 1000):
        return f"{int(value):,}"
    if column != "delta":
        return f"{value:.4g}"
    text = f"{value:+.4f}"
    return text if float(text) else text[1:]  # no sign before a zero


def _rich_table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Write a table for a terminal; what is too wide for it goes on below, with the first column again."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    lines = [columns, *cells]
    widths = [max(len(line[i]) for line in lines) + GAP for i in range(len(columns))]
    for number, block in enumerate(_blocks(widths, console.width + GAP)):
        if number:
            console.print()
        drawn = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for i in block:
            drawn.add_column(escape(columns[i]), overflow="fold")
        for row in cells:
            drawn.add_row(*(escape(row[i]) for i in block))
        console.print(drawn)


def _blocks(widths: Sequence[int], room: int) -> list[list[int]]:
    """Return which columns stand beside each other, each block with the first column."""
    blocks: list[list[int]] = [[0]]
    for i in range(1, len(widths)):
        used = sum(widths[k] for k in blocks[-1])
        if used + widths[i] > room and len(blocks[-1]) > 1:
            blocks.append([0])
        blocks[-1].append(i)
    return blocks


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
