"""NIfTI files: read with checks that name the subject, and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from sfg_nas.data.volumes.extra import medical
from sfg_nas.errors import DataError, explain

Floats = NDArray[np.float32]
Affine = NDArray[np.float64]

SUFFIXES = (".nii", ".nii.gz")
PAIR = (".hdr", ".img")
"""What a NIfTI volume in two files ends in; the header speaks for both."""
MOST_VOXELS = 1 << 30
"""Of a volume."""
_MM = {"meter": 1e3, "micron": 1e-3}
"""Millimetres of the units of length that a header may name; what names none is in mm."""


def is_volume(path: Path) -> bool:
    """Return whether a file's name is that of a NIfTI file; of a pair only the header's is."""
    header, values = PAIR
    if path.suffix.lower() == header:
        return _beside(path, values) is not None
    return path.name.lower().endswith(SUFFIXES)


def named_once(path: Path) -> Path:
    """Return the header of a pair whose values were named, and any other file as it is."""
    header, values = PAIR
    return (path.suffix.lower() == values and _beside(path, header)) or path


def _beside(path: Path, suffix: str) -> Path | None:
    """Return the file of the same name with another suffix, in letters of either size, if it is there."""
    names = (path.with_suffix(suffix), path.with_suffix(suffix.upper()))
    return next((name for name in names if name.is_file()), None)


def stem(path: Path) -> str:
    """Return a NIfTI file's name without its suffix."""
    name = path.name
    for suffix in (*sorted(SUFFIXES, key=len, reverse=True), *PAIR):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def read_volume(path: Path, subject: str) -> tuple[Floats, Affine]:
    """Return a NIfTI file's values `[X, Y, Z]`, with its own scaling applied, and its affine in mm `[4, 4]`.

    Args:
        path: The file; a fourth dimension of one volume is dropped, a flat image gets a third.
        subject: Whose it is, for messages.

    Raises:
        ConfigError: If nibabel is missing.
        DataError: If the file is missing, damaged, not a volume, or holds NaN or infinity.
    """
    nibabel = medical("nibabel")
    if not path.is_file():
        refuse(subject, path, "a NIfTI file is needed", "no such file")
    try:
        image = nibabel.load(path)
        shape = image.shape
        if (len(shape) > 3 and int(np.prod(shape[3:])) == 1) or len(shape) == 2:
            shape = (*shape[:3], 1)[:3]
        if len(shape) != 3 or 0 in shape or int(np.prod(shape)) > MOST_VOXELS:
            refuse(subject, path, "one volume of three dimensions is needed", f"{image.shape}")
        if image.get_data_dtype().kind not in "iuf":
            refuse(subject, path, "real numbers are needed", f"{image.get_data_dtype()}")
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
            values = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
        affine = affine_of(image)
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001  (nibabel and its decompressors raise many kinds)
        refuse(subject, path, "a NIfTI file is needed", f"{type(error).__name__}: {error}")
    if not np.isfinite(values).all():
        count = int(np.count_nonzero(~np.isfinite(values)))
        refuse(subject, path, "every voxel must be finite", f"NaN or infinity in {count} voxels")
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or _flat(affine):
        refuse(subject, path, "an affine with three axes is needed", f"{affine.tolist()}")
    return values, affine


def affine_of(image: Any) -> Affine:  # noqa: ANN401 (nibabel's image)
    """Return an image's affine `[4, 4]` in mm, whatever unit of length its header names.

    Args:
        image: As nibabel loads it.
    """
    affine = np.array(image.affine, dtype=np.float64)
    units = getattr(image.header, "get_xyzt_units", lambda: ("unknown", "unknown"))
    affine[:3] *= _MM.get(units()[0], 1.0)
    return affine


def _flat(affine: Affine) -> bool:
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    return bool(sides.min() < 1e-6 or abs(np.linalg.det(affine[:3, :3] / sides)) < 1e-3)


def read_like(
    path: Path, subject: str, like: Path, shape: tuple[int, ...], affine: Affine
) -> Floats:
    """Return the values of a file that must lie on the grid of another one.

    Args:
        path: The file.
        subject: Whose it is, for messages.
        like: The other file, for messages.
        shape: Of the other file's grid.
        affine: Of the other file's grid.

    Raises:
        DataError: If it cannot be read, or its grid differs by a voxel or more than a hundredth of one.
    """
    values, own = read_volume(path, subject)
    rule = f"the grid of {like.name} is needed (resample it first)"
    if values.shape != tuple(shape):
        refuse(subject, path, rule, f"{values.shape} voxels where {tuple(shape)} are needed")
    corners = np.array(
        [[i, j, k, 1] for i in (0, shape[0]) for j in (0, shape[1]) for k in (0, shape[2])]
    )
    apart = np.linalg.norm((corners @ (own - affine).T)[:, :3], axis=1).max()
    if apart > 0.01 * np.linalg.norm(affine[:3, :3], axis=0).min():
        refuse(subject, path, rule, f"another place in space, {apart:.3g} mm apart")
    return values


def write_volume(path: Path, values: NDArray[Any], affine: Affine, header: Any = None) -> None:  # noqa: ANN401
    """Write a NIfTI file; integers are stored as they are.

    Args:
        path: The file; its folder is made if need be.
        values: `[X, Y, Z]`.
        affine: `[4, 4]`, from voxels to mm.
        header: Of a file in the same space, whose codes and unit of time are taken over.

    Raises:
        ConfigError: If nibabel is missing.
    """
    nibabel = medical("nibabel")
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, affine, header)
    image.header.set_data_dtype(values.dtype)
    image.header.set_slope_inter(1, 0)
    image.header["cal_min"] = image.header["cal_max"] = 0
    image.header.set_xyzt_units("mm", None if header is None else header.get_xyzt_units()[1])
    nibabel.save(image, path)


def refuse(subject: str, path: Path, rule: str, found: str) -> NoReturn:
    """Raise a `DataError` that names a subject and a file.

    Args:
        subject: The subject.
        path: The file.
        rule: What must hold.
        found: What was found instead.
    """
    do = "correct the file, or take the subject out of the folder"
    raise DataError(explain(where=f"subject {subject}: {path}", rule=rule, found=found, do=do))
