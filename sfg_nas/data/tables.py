"""Tables of labels, CSV or Parquet, as plain text cells that know their line."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sfg_nas.errors import DataError, explain
from sfg_nas.tasks import number_in

if TYPE_CHECKING:
    import pyarrow

MISSING = ("", "na", "n/a", "nan", "null", "#n/a", "<na>", "nat")
"""Cells that say nothing, in lower case."""
DELIMITERS = ",;\t|"
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".npy")
"""How the names of images end."""
_CONTENT = "(no text)"
"""What stands in cells that hold files or records."""
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_QUOTED = re.compile(r'"[^"]*"')
_TOLD = re.compile(r'"?sep=([^"\s]|\t)"?', re.IGNORECASE)
"""The line before the header by which Excel is told what separates."""
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of text.

    Attributes:
        path: Of the file.
        columns: The names in the header.
        rows: The cells of each row, in the order of the columns.
        numbers: The line (of a CSV) or the number (of a Parquet) of each row, from 1.
        unit: `line` or `row`.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...]
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[str]:
        """Return the cells of a column, without spaces around them; what says nothing as an empty text.

        Args:
            name: Of the header.
        """
        place = self.columns.index(name)
        cells = [row[place].strip() for row in self.rows]
        return ["" if cell.lower() in MISSING else cell for cell in cells]

    def where(self, row: int) -> str:
        """Return the file and line of a row.

        Args:
            row: From 0.
        """
        return f"{self.path}: {self.unit} {self.numbers[row]}"

    def only(self, kept: Sequence[int]) -> Table:
        """Return some of the rows.

        Args:
            kept: Their places, from 0.
        """
        rows = tuple(self.rows[i] for i in kept)
        return Table(self.path, self.columns, rows, tuple(self.numbers[i] for i in kept), self.unit)


def read_table(path: Path) -> Table:
    """Return a table with a header.

    Commas, semicolons, tabs and bars may separate the cells of a text file; whichever the header
    holds most of, outside of quotation marks, does, unless a first line such as `sep=;` names another, as
    Excel has it. Where it is not the comma, numbers may have a decimal comma; a column with commas that
    part thousands stays text. Columns without name and content are left out.

    Args:
        path: A Parquet file if its name ends so, else text in UTF-8, or UTF-16 with its mark.

    Raises:
        DataError: If it cannot be read, has no row, or a row has more cells than the header.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet(path)
    try:
        with path.open(newline="", encoding=_encoding(path)) as stream:
            header = next((line for line in stream if line.strip("\r\n")), "")
            stream.seek(0)
            told = _TOLD.fullmatch(header.strip("\r\n"))
            delimiter = told[1] if told else max(DELIMITERS, key=_QUOTED.sub("", header).count)
            reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
            lines = [(reader.line_num, tuple(row)) for row in reader if any(row)][bool(told) :]
    except UnicodeError as error:
        found, do = f"other characters ({error})", "save it as UTF-8 (in Excel: CSV UTF-8)"
        raise unusable(path, found, "text in UTF-8 is needed", do) from error
    except (OSError, csv.Error) as error:
        found = f"{type(error).__name__}: {error}" if isinstance(error, csv.Error) else str(error)
        raise unusable(path, found) from error
    if len(lines) < 2:
        raise unusable(path, "no row")
    columns = tuple(name.strip() for name in lines[0][1])
    wrong = [(number, row) for number, row in lines[1:] if any(row[len(columns) :])]
    if wrong:
        number, row = wrong[0]
        found = f"{len(row)} cells on line {number}, {len(columns)} in the header"
        raise unusable(path, found + _others(len(wrong) - 1))
    width = len(columns)
    rows = [(row + ("",) * width)[:width] for _, row in lines[1:]]  # as spreadsheets save
    cells = list(zip(*rows, strict=True))
    named = [k for k in range(width) if columns[k] or any(cells[k])]
    columns = tuple(columns[k] for k in named)
    _check_columns(path, columns)
    kept = [cells[k] if delimiter == "," else _with_points(cells[k]) for k in named]
    numbers = tuple(number for number, _ in lines[1:])
    return Table(path, columns, tuple(zip(*kept, strict=True)), numbers)


def _encoding(path: Path) -> str:
    with path.open("rb") as stream:
        start = stream.read(2)
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _with_points(cells: Sequence[str]) -> Sequence[str]:
    """Return a column of numbers with points for its decimal commas; any other column as it is."""
    known = [cell.strip() for cell in cells if cell.strip().lower() not in MISSING]
    commas = [cell for cell in known if _DECIMAL_COMMA.fullmatch(cell)]
    if not commas or not all(cell in commas or number_in(cell) is not None for cell in set(known)):
        return cells
    if len(commas) < len(known) and all(map(_THOUSANDS.fullmatch, commas)):
        return cells  # 987 beside 13,423: these commas part thousands
    return [cell.replace(",", ".") for cell in cells]


def _parquet(path: Path) -> Table:
    try:
        import pyarrow.parquet
    except ImportError as error:
        rule, do = "Parquet needs the extra `parquet`", "pip install 'sfg_nas[parquet]'"
        text = explain(where=str(path), rule=rule, found="no pyarrow", do=do)
        raise DataError(text) from error
    try:
        content = pyarrow.parquet.read_table(path)
        columns = {name: _shortest(content.column(name)) for name in content.column_names}
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise unusable(path, str(error).splitlines()[0]) from error
    if not content.num_rows:
        raise unusable(path, "no row")
    _check_columns(path, tuple(columns))
    cells = [[_text(value) for value in values] for values in columns.values()]
    rows = tuple(zip(*cells, strict=True))
    return Table(path, tuple(columns), rows, tuple(range(1, len(rows) + 1)), "row")


def _shortest(column: pyarrow.ChunkedArray) -> Sequence[object]:
    """Return the values of a column, those in single or half precision by their shortest digits: 0.1, not 0.10000000149011612."""
    values: list[float | None] = column.to_pylist()
    kind = {"float": np.float32, "halffloat": np.float16}.get(str(column.type))
    return values if kind is None else [v if v is None else float(str(kind(v))) for v in values]


def _text(value: object) -> str:
    """Return what a CSV would say for a value: whole numbers without a point, lists with semicolons, no contents of files."""
    if value is None or value != value:  # NaN is the one value that differs from itself
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, list | tuple):
        return ";".join(map(_text, value)) or "none"
    if isinstance(value, bytes):  # also of text, as some programs write it
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return _CONTENT
    return _CONTENT if isinstance(value, Mapping) else str(value)


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    twice = sorted({name for name in columns if list(columns).count(name) > 1})
    if twice:
        raise unusable(path, f"the column {twice[0]!r} twice")
    files = [name for name in columns if name.lower().endswith(IMAGES)]
    if files:
        do = "write the names of the columns on the first line"
        raise unusable(path, f"a first line that names a file, {files[0]}", do=do)


def _others(count: int) -> str:
    return f", and {count} more such lines" if count else ""


def unusable(
    path: Path,
    found: str,
    rule: str = "a table (CSV or Parquet) with a header, each name once, and rows is needed",
    do: str = "correct the table",
) -> DataError:
    """Return the error of a table that cannot be used.

    Args:
        path: Of the file.
        found: What is wrong.
        rule: What is needed.
        do: What to do.
    """
    return DataError(explain(where=str(path), rule=rule, found=found, do=do))


def listed(names: Iterable[str], most: int = 20) -> str:
    """Return names for a message, no more than can be read.

    Args:
        names: In order.
        most: How many.
    """
    known = list(names)
    more = f", and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more
