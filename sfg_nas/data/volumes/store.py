"""Prepared subjects, kept as memory-mapped arrays under a key of their files' content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfg_nas.data.cache import kept
from sfg_nas.data.content import content_key
from sfg_nas.data.volumes.files import Affine
from sfg_nas.data.volumes.prepare import PreparedSubject, prepare_subject
from sfg_nas.data.volumes.subjects import SubjectFiles

_FORMAT = 1
"""Raised when the same files would be prepared in another way."""


@dataclass(frozen=True, eq=False)
class StoredSubject:
    """A prepared subject, memory-mapped.

    Attributes:
        name: Of the subject.
        key: SHA-256 of the content of its files and of the settings.
        mr: Normalised, `[X, Y, Z]`, float32.
        body: Body mask, `[X, Y, Z]`.
        ct: In HU, `[X, Y, Z]`, or None.
        labels: As in the file, `[X, Y, Z]`, or None.
        affine: From voxels to mm, `[4, 4]`.
    """

    name: str
    key: str
    mr: NDArray[np.float32]
    body: NDArray[np.bool_]
    ct: NDArray[np.float32] | None
    labels: NDArray[np.int16] | None
    affine: Affine


def stored_subject(files: SubjectFiles, spacing: Sequence[float], cache: Path) -> StoredSubject:
    """Return a subject from the cache or, the first time, prepared into it.

    Args:
        files: Of the subject.
        spacing: Of the common grid, in mm.
        cache: The folder of all caches; it is made if need be.

    Raises:
        DataError: If a file is wrong, or the cache cannot be written.
    """
    settings = f"volumes {_FORMAT} spacing {tuple(spacing)}"
    parts = [content_key([path], settings) for path in files.paths]
    held = [path is not None for path in (files.mr, files.ct, files.labels)]
    key = hashlib.sha256(json.dumps([parts, held]).encode()).hexdigest()
    folder = cache / f"volumes-{key[:32]}"
    return kept(
        folder,
        lambda place: _read(place, files.name, key),
        lambda place: _write(place, prepare_subject(files, spacing), key),
        what="prepared volumes",
    )


def _read(folder: Path, name: str, key: str) -> StoredSubject | None:
    """Return what the folder holds, or None if it is not there, damaged or another's."""
    try:
        notes = json.loads((folder / "source.json").read_text(encoding="utf-8"))
        if notes["key"] != key:
            return None
        arrays = {
            what: np.load(folder / f"{what}.npy", mmap_mode="r", allow_pickle=False)
            for what in notes["arrays"]
        }
        shapes = {arrays[what].shape for what in arrays}
        if len(shapes) != 1 or not {"mr", "body"} <= set(arrays):
            return None
        affine = np.asarray(notes["affine"], dtype=np.float64)
    except (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return StoredSubject(
        name, key, arrays["mr"], arrays["body"], arrays.get("ct"), arrays.get("labels"), affine
    )


def _write(folder: Path, subject: PreparedSubject, key: str) -> None:
    arrays = {
        "mr": subject.mr.values,
        "body": subject.mr.body,
        "ct": subject.ct,
        "labels": subject.labels,
    }
    held = {what: array for what, array in arrays.items() if array is not None}
    for what, array in held.items():
        np.save(folder / f"{what}.npy", array)
    notes = {"key": key, "arrays": list(held), "affine": subject.mr.affine.tolist()}
    (folder / "source.json").write_text(json.dumps(notes), encoding="utf-8")
