"""Photos from anywhere: found in folders or tables, decoded as training decodes them, none of them able to stop us."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sfg_nas.data.content import workers
from sfg_nas.errors import ConfigError, DataError, explain

FILE_COLUMNS = ("file", "path", "image", "filename")
"""Columns of a table that may name the photos; the first of these that is there does."""

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_WIDE = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")


@dataclass(frozen=True, eq=False)
class Decoded:
    """Some photos.

    Attributes:
        paths: Those that could be read.
        images: Of these, [n, C, H, W].
        places: Of these among all that were asked for, over all batches, [n].
        failed: The others, each with the reason why it could not be read.
    """

    paths: tuple[Path, ...]
    images: NDArray[np.uint8]
    places: NDArray[np.int64]
    failed: tuple[tuple[Path, str], ...]


def find_photos(sources: Sequence[Path]) -> list[Path]:
    """Return the files that are meant by files, folders (all that lies below, but hidden files) and CSV tables.

    Args:
        sources: In the order of the result; a folder's files are sorted. What does not exist is kept, to be reported
            when it is read.

    Raises:
        DataError: If a table cannot be read.
    """
    found: list[Path] = []
    for source in sources:
        if source.is_dir():
            below = (p for p in source.rglob("*") if p.is_file())
            found += sorted(p for p in below if not _hidden(p.relative_to(source)))
        elif source.suffix.lower() == ".csv":
            rows = read_table(source)
            column = file_column(source, rows)
            found += [source.parent / row[column] for row in rows]
        else:
            found.append(source)
    return found


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header.

    Args:
        path: The file.

    Raises:
        DataError: If it cannot be read or has no row.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = [{str(k): v or "" for k, v in row.items()} for row in csv.DictReader(stream)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unusable(path, str(error)) from error
    if not rows:
        raise _unusable(path, "no row")
    return rows


def file_column(path: Path, rows: Sequence[dict[str, str]]) -> str:
    """Return the column that names the photos.

    Args:
        path: Of the table, for the message.
        rows: Its rows.

    Raises:
        DataError: If there is none.
    """
    for name in FILE_COLUMNS:
        if name in rows[0]:
            return name
    raise _unusable(path, f"the columns {', '.join(rows[0])[:200]}")


def decode_batches(
    paths: Sequence[Path], shape: tuple[int, ...], batch_size: int = 256
) -> Iterator[Decoded]:
    """Yield photos in batches, resized; what cannot be decoded is left out with its reason.

    Args:
        paths: The files.
        shape: C, H, W of the result; C is 1 (grey), 3 or 4.
        batch_size: Files at once.

    Raises:
        ConfigError: If photos cannot become images of this shape.
    """
    if len(shape) != 3 or shape[0] not in _MODES:
        rule = f"photos become images [C, H, W] with C of {', '.join(map(str, _MODES))}"
        do = "call the network from Python with tensors of your own"
        raise ConfigError(explain(where="photos", rule=rule, found=str(list(shape)), do=do))
    for start in range(0, len(paths), batch_size):
        yield _decode_some(paths[start : start + batch_size], shape, start)


def _decode_some(paths: Sequence[Path], shape: tuple[int, ...], start: int) -> Decoded:
    def attempt(path: Path) -> NDArray[np.uint8] | str:
        try:
            return decode_photo(path, shape)
        except Exception as error:  # noqa: BLE001  (Pillow's decoders raise many kinds)
            return f"{type(error).__name__}: {error}"

    with ThreadPoolExecutor(workers()) as pool:
        results = list(pool.map(attempt, paths))
    places = [place for place, result in enumerate(results) if not isinstance(result, str)]
    images = np.zeros((len(places), *shape), dtype=np.uint8)
    for row, place in enumerate(places):
        images[row] = results[place]
    failed = tuple(
        (path, result)
        for path, result in zip(paths, results, strict=True)
        if isinstance(result, str)
    )
    kept = tuple(paths[place] for place in places)
    return Decoded(kept, images, np.asarray(places, dtype=np.int64) + start, failed)


def decode_photo(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return one photo [C, H, W] in the way that training photos are made: turned upright, cut to its middle, resized.

    Sixteen bits per pixel are brought to eight; an alpha channel is dropped as in training.

    Args:
        path: Any file that Pillow reads.
        shape: C, H, W.
    """
    channels, height, width = shape
    with Image.open(path) as file:
        narrow = _eight_bits(file) if file.mode in _WIDE else file
        image = ImageOps.exif_transpose(narrow.convert(_MODES[channels]))
    small = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(small, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return a grey image of wide integers (0 to 65535) or floats (0 to 1, or to 255) with 8 bits."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("NaN or infinity among the pixels")
    if image.mode == "F":
        values = values * 255 if values.max() <= 1 else values
    else:
        values /= 257
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def shown(path: Path) -> str:
    """Return a path as text that any stream can write, whatever bytes the name holds.

    Args:
        path: Any path.
    """
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")


def _unusable(path: Path, found: str) -> DataError:
    rule = f"a CSV table with a header and a column `{FILE_COLUMNS[0]}` is needed"
    return DataError(explain(where=str(path), rule=rule, found=found, do="correct the table"))
