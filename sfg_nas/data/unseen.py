"""Photos from anywhere: found in folders or tables, decoded as training decodes them, none of them able to stop us."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfg_nas.data.content import workers
from sfg_nas.data.decode import MODES, decode_photo, reason_of
from sfg_nas.data.grey import Reach, Window, all_together
from sfg_nas.data.label_images import below
from sfg_nas.data.tables import Table, listed, read_table
from sfg_nas.errors import ConfigError, DataError, explain

FILE_COLUMNS = ("file", "path", "image", "filename")
"""Columns of a table that may name the photos; the first of these that is there does."""
TABLES = (".csv", ".tsv", ".parquet", ".pq")
"""How the name of a table ends, where one may stand among photos."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """Some photos.

    Attributes:
        paths: Those that could be read.
        images: Of these, [n, C, H, W].
        places: Of these among all that were asked for, over all batches, [n].
        failed: The others, each with the reason why it could not be read.
        wide: How far values of more than eight bits go (see `all_together`).
    """

    paths: tuple[Path, ...]
    images: NDArray[np.uint8]
    places: NDArray[np.int64]
    failed: tuple[tuple[Path, str], ...]
    wide: tuple[Reach, ...] = ()


def find_photos(sources: Sequence[Path], columns: Sequence[str] = ()) -> list[Path]:
    """Return the files that are meant by files, folders (all that lies below, but hidden files) and tables.

    Args:
        sources: In the order of the result; a folder's files are sorted. What does not exist is kept, to be reported
            when it is read, and a table's row without a file by its line.
        columns: The one that named the photos where the network was trained, if it is known.

    Raises:
        DataError: If a table cannot be read.
    """
    found: list[Path] = []
    for source in sources:
        if source.is_dir():
            below = (p for p in source.rglob("*") if p.is_file())
            found += sorted(p for p in below if not _hidden(p.relative_to(source)))
        elif source.suffix.lower() in TABLES:
            table = read_table(source)
            found += photos_of_rows(table, file_column(table, columns), source.parent)
        else:
            found.append(source)
    return found


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def usual_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that usually name photos, in small or capital letters, the first choice first.

    Args:
        columns: Of a table.
    """
    return [name for usual in FILE_COLUMNS for name in columns if name.lower() == usual]


def photos_of_rows(table: Table, column: str, base: Path) -> list[Path]:
    """Return the file of each row; of one that names none its place in the table, to be reported when it is read.

    Args:
        table: Any.
        column: That names the files.
        base: What the names are relative to.
    """
    names = enumerate(table.column(column))
    return [below(base, name) if name else Path(table.where(row)) for row, name in names]


def file_column(table: Table, columns: Sequence[str] = ()) -> str:
    """Return the column that names the photos: as in training if it is there, else the usual one.

    Args:
        table: Any.
        columns: The one that did where the network was trained, if it is known.

    Raises:
        DataError: If there is none.
    """
    for name in (
        *(name for name in columns if name in table.columns),
        *usual_columns(table.columns),
    ):
        return name
    rule = f"a column `{FILE_COLUMNS[0]}` is needed"
    found = f"the columns {listed(table.columns)}"
    raise DataError(explain(where=str(table.path), rule=rule, found=found, do="name the files"))


def decode_batches(
    paths: Sequence[Path],
    shape: tuple[int, ...],
    window: Window | None = None,
    batch_size: int = 256,
) -> Iterator[Decoded]:
    """Yield photos in batches, resized; what cannot be decoded is left out with its reason.

    Args:
        paths: The files.
        shape: C, H, W of the result; C is 1 (grey), 3 or 4.
        window: See `Preparation`.
        batch_size: Files at once.

    Raises:
        ConfigError: If photos cannot become images of this shape.
    """
    if len(shape) != 3 or shape[0] not in MODES:
        rule = f"photos become images [C, H, W] with C of {', '.join(map(str, MODES))}"
        do = "call the network from Python with tensors of your own"
        raise ConfigError(explain(where="photos", rule=rule, found=str(list(shape)), do=do))
    for start in range(0, len(paths), batch_size):
        yield _decode_some(paths[start : start + batch_size], shape, window, start)


def _decode_some(
    paths: Sequence[Path], shape: tuple[int, ...], window: Window | None, start: int
) -> Decoded:
    def attempt(path: Path) -> tuple[NDArray[np.uint8], Reach | None] | str:
        try:
            return decode_photo(path, shape, window)
        except Exception as error:  # noqa: BLE001  (Pillow's decoders raise many kinds)
            return reason_of(error)

    with ThreadPoolExecutor(workers()) as pool:
        results = list(pool.map(attempt, paths))
    read = {place: result for place, result in enumerate(results) if not isinstance(result, str)}
    images = np.zeros((len(read), *shape), dtype=np.uint8)
    for row, (image, _) in enumerate(read.values()):
        images[row] = image
    failed = tuple(
        (path, result)
        for path, result in zip(paths, results, strict=True)
        if isinstance(result, str)
    )
    kept = tuple(paths[place] for place in read)
    wide = all_together(reach for _, reach in read.values())
    return Decoded(kept, images, np.array([*read], dtype=np.int64) + start, failed, wide)


def shown(path: Path) -> str:
    """Return a path as text that any stream can write, whatever bytes the name holds.

    Args:
        path: Any path.
    """
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")
