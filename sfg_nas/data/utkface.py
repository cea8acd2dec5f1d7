"""UTKFace: faces with age and gender, from a folder of photos."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfg_nas.data.arrays import assemble
from sfg_nas.data.bundle import DataBundle
from sfg_nas.data.cache import DecodedPhotos, decoded_photos
from sfg_nas.data.checks import check_integer, check_name, check_share, image_size
from sfg_nas.data.location import Location
from sfg_nas.data.splits import Splits, divide, random_splits
from sfg_nas.errors import DataError, explain
from sfg_nas.tasks import Task

_NAME = re.compile(r"^(\d+)_([01])_")
_SPLIT_FILE = "utkface_split.csv"

Indices = NDArray[np.int64]


def load(
    location: Location,
    *,
    size: int | Sequence[int] = 64,
    split: str = "auto",
    validation: float = 0.1,
    test: float = 0.15,
    fraction: float = 1.0,
    seed: int = 0,
) -> DataBundle:
    """Return the faces of `utkface/` below the data root (Zhang et al. 2017).

    Tasks: `age` (regression, years) and `gender` (classification, 0 = male), read from the file
    names. A file that cannot be read is left out and named in a warning.

    With the file `utkface_split.csv` (columns `file` and `split`) beside the folder, its part
    `validation` becomes `test`, opened once, and its part `training` is divided by `seed` into
    `train` and `validation`. Without it all three parts are drawn by `seed`. In every draw
    near-duplicate photos stay in one part; those that the split file itself tears apart stay as the
    file has them and are counted in a warning.

    Args:
        location: The data root, the cache and a progress callback.
        size: Side of the images in pixels, or `[height, width]`.
        split: `file` for the split file, `seeded` for a draw, `auto` for the file if it is there.
        validation: The share of the validation part: of the file's training part, or of all.
        test: The share of the test part in a draw.
        fraction: The share of the training images to keep; validation and test stay whole.
        seed: Seed of all draws.

    Raises:
        ConfigError: If an option is impossible.
        DataError: If the folder is missing or holds no face, or the split file is missing or wrong.
    """
    size = image_size("utkface: size", size)
    check_integer("utkface: seed", seed, 0)
    check_name("utkface: split", split, ("auto", "file", "seeded"))
    check_share("utkface: validation", validation, whole=False)
    check_share("utkface: test", test, whole=False)
    folder = location.folder("utkface")
    paths, warnings = _faces(folder)
    photos = decoded_photos(
        paths, size=size, cache=location.cache_folder(), progress=location.progress
    )
    warnings += _failures(folder, photos)
    rows = {path.name: row for row, path in enumerate(paths) if path.name not in photos.failed}
    file = folder.parent / _SPLIT_FILE
    if split == "file" or (split == "auto" and file.exists()):
        splits, notes = _filed_splits(file, rows, photos.groups, validation, seed)
        warnings += notes
    else:
        splits = _drawn_splits(rows, photos.groups, validation, test, seed)
    labels = np.array([_labels(path.name) for path in paths])
    return assemble(
        "utkface",
        photos.images,
        {"age": labels[:, 0], "gender": labels[:, 1]},
        (Task("age", "regression", unit="years"), Task("gender", "classification", 2)),
        splits.with_fraction(fraction, seed),
        content=photos.key,
        warnings=warnings,
    )


def labels_of_name(name: str) -> dict[str, int] | None:
    """Return the labels that a file's name holds, by task, or None if it holds none.

    Args:
        name: Without folders.
    """
    found = _NAME.match(name)
    return None if found is None else {"age": int(found[1]), "gender": int(found[2])}


def _labels(name: str) -> tuple[int, int]:
    found = labels_of_name(name)
    if found is None:
        raise AssertionError(name)
    return found["age"], found["gender"]


def _faces(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the files whose names hold age and gender, by name, and warnings about the others."""
    entries = (path for path in folder.iterdir() if not path.name.startswith("."))
    found = sorted(entries, key=lambda path: path.name)
    paths = [path for path in found if _NAME.match(path.name) and path.is_file()]
    if not paths:
        raise DataError(
            explain(
                where=str(folder),
                rule="photos named age_gender_... are read from this folder",
                found=f"{len(found)} entries, none of them such a photo",
                do="put the UTKFace photos there",
            )
        )
    others = sorted({path.name for path in found} - {path.name for path in paths})
    reason = "the name does not begin with age_gender_, gender 0 or 1, or it is no file"
    return paths, _named(f"{folder.name}: left out because {reason}", others)


def _failures(folder: Path, photos: DecodedPhotos) -> list[str]:
    if len(photos.failed) == len(photos.images):
        raise DataError(
            explain(
                where=str(folder),
                rule="at least one photo that can be decoded is needed",
                found=f"{len(photos.failed)} that cannot, {next(iter(photos.failed.items()))}",
                do="fetch the photos again",
            )
        )
    reasons = [f"{name} ({reason})" for name, reason in photos.failed.items()]
    return _named(f"{folder.name}: left out because they cannot be decoded", reasons)


def _named(what: str, names: Sequence[str]) -> list[str]:
    """Return one warning that counts and names everything concerned, or none."""
    return [f"{what}: {len(names)} ({', '.join(names)})"] if names else []


def _drawn_splits(
    rows: Mapping[str, int], groups: Indices, validation: float, test: float, seed: int
) -> Splits:
    readable = np.array(sorted(rows.values()))
    drawn = random_splits(
        len(readable), groups=groups[readable], validation=validation, test=test, seed=seed
    )
    return Splits(readable[drawn.train], readable[drawn.validation], readable[drawn.test])


def _filed_splits(
    file: Path, rows: Mapping[str, int], groups: Indices, validation: float, seed: int
) -> tuple[Splits, list[str]]:
    """Return the split of the file, its training part divided, and warnings."""
    parts = _read_split(file)
    chosen = {
        part: np.array(
            sorted(rows[name] for name, own in parts.items() if own == part and name in rows),
            dtype=np.int64,
        )
        for part in ("training", "validation")
    }
    train, validated = divide(chosen["training"], validation, groups=groups, seed=seed)
    test = chosen["validation"]
    warnings = _named(
        f"{file.name}: left out because they are not in this file", sorted(set(rows) - set(parts))
    )
    warnings += _named(
        f"{file.name}: named there but not among the readable photos",
        sorted(set(parts) - set(rows)),
    )
    torn = int(np.isin(groups[chosen["training"]], groups[test]).sum())
    if torn:
        warnings.append(
            f"{file.name}: {torn} of {len(chosen['training'])} training photos are near-duplicates "
            "of test photos; the file's split is kept as it is"
        )
    return Splits(train, validated, test), warnings


def _read_split(file: Path) -> dict[str, str]:
    """Return the part of each file name."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            table = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _wrong_split(file, str(error)) from error
    parts: dict[str, str] = {}
    for line, row in enumerate(table, start=2):
        name, part = row.get("file"), row.get("split")
        if not name or part not in ("training", "validation"):
            raise _wrong_split(file, f"line {line}: file {name!r}, split {part!r}")
        if parts.setdefault(name, part) != part:
            raise _wrong_split(file, f"line {line}: {name!r} in both parts")
    return parts


def _wrong_split(file: Path, found: str) -> DataError:
    return DataError(
        explain(
            where=str(file),
            rule="columns `file` and `split` (training or validation) are needed",
            found=found,
            do="correct the file, or set `data.split: seeded`",
        )
    )
