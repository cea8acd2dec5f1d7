"""From a subject's files to arrays on the common grid: orientation, spacing, body mask, normalised intensities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from sfg_nas.data.volumes.extra import medical
from sfg_nas.data.volumes.files import (
    MOST_VOXELS,
    Affine,
    Floats,
    affine_of,
    read_like,
    read_volume,
    refuse,
)
from sfg_nas.data.volumes.subjects import SubjectFiles

AXES = "RAS"
_LABELS = (("L", "R"), ("P", "A"), ("I", "S"))
"""Axes of prepared volumes: to the right, the front and the head; slices lie along the last."""

_CLIPPED = (0.5, 99.5)
"""Percentiles of the MR within the body that its values are cut at."""
_CLOSE = 1e-3
"""Spacings that differ by less than this share need no resampling."""
_LARGEST_LABEL = 32767


@dataclass(frozen=True, eq=False)
class PreparedMR:
    """An MR as a network reads it.

    Attributes:
        values: Mean 0 and standard deviation 1 within the body, the lowest value outside it, `[X, Y, Z]`.
        body: The body mask, `[X, Y, Z]`.
        affine: From voxels to mm, `[4, 4]`.
    """

    values: Floats
    body: NDArray[np.bool_]
    affine: Affine


@dataclass(frozen=True, eq=False)
class PreparedSubject:
    """A subject on the common grid.

    Attributes:
        mr: The MR with its mask.
        ct: In HU, `[X, Y, Z]`, or None.
        labels: As in the file, `[X, Y, Z]`, or None.
    """

    mr: PreparedMR
    ct: Floats | None
    labels: NDArray[np.int16] | None


def spacing_of(path: Path, subject: str) -> tuple[float, float, float]:
    """Return a file's voxel sizes in mm along the axes that prepared volumes have.

    Args:
        path: A NIfTI file.
        subject: Whose it is, for messages.

    Raises:
        DataError: If it is none.
    """
    nibabel = medical("nibabel")
    try:
        affine = affine_of(nibabel.load(path))
        axes = nibabel.io_orientation(affine)[:, 0].astype(int)
        sizes = nibabel.affines.voxel_sizes(affine)
    except Exception as error:  # noqa: BLE001  (nibabel raises many kinds)
        refuse(subject, path, "a NIfTI file is needed", f"{type(error).__name__}: {error}")
    own = {int(axis): float(size) for axis, size in zip(axes, sizes, strict=True)}
    return own.get(0, 1.0), own.get(1, 1.0), own.get(2, 1.0)


def prepare_subject(files: SubjectFiles, spacing: Sequence[float]) -> PreparedSubject:
    """Return a subject's volumes on the common grid.

    Args:
        files: Of the subject.
        spacing: Of the common grid along `AXES`, in mm.

    Raises:
        DataError: If a file is damaged, empty or lies on another grid; the message names the subject.
    """
    mr, affine = read_volume(files.mr, files.name)
    prepared = prepare_mr(mr, affine, spacing, files.name, files.mr)
    ct = labels = None
    if files.ct is not None:
        own = read_like(files.ct, files.name, files.mr, mr.shape, affine)
        ct = on_common_grid(own, affine, spacing)[0]
    if files.labels is not None:
        own = read_like(files.labels, files.name, files.mr, mr.shape, affine)
        _check_labels(files.name, files.labels, own)
        labels = on_common_grid(own, affine, spacing, nearest=True)[0].astype(np.int16)
    return PreparedSubject(prepared, ct, labels)


def _check_labels(subject: str, path: Path, values: Floats) -> None:
    rule = f"whole numbers from 0 to {_LARGEST_LABEL} are needed"
    if (values != np.rint(values)).any() or values.min() < 0 or values.max() > _LARGEST_LABEL:
        odd = values[(values != np.rint(values)) | (values < 0) | (values > _LARGEST_LABEL)]
        refuse(subject, path, rule, f"{float(odd.flat[0]):g}")
    if not values.any():
        refuse(subject, path, "a label map with at least one label is needed", "only zeros")


def prepare_mr(
    values: Floats, affine: Affine, spacing: Sequence[float], subject: str, path: Path
) -> PreparedMR:
    """Return an MR on the common grid, masked and normalised.

    Values within the body are cut at two percentiles, then brought to mean 0 and standard deviation 1.

    Args:
        values: `[X, Y, Z]`.
        affine: `[4, 4]`.
        spacing: Of the common grid, in mm.
        subject: Whose it is, for messages.
        path: Where it came from, for messages.

    Raises:
        DataError: If there is nothing to see on it, or the common grid would have too many voxels.
    """
    finer = float(np.prod(np.linalg.norm(affine[:3, :3], axis=0)) / np.prod(spacing))
    if values.size * finer > MOST_VOXELS:
        sizes = " x ".join(f"{size:g}" for size in np.linalg.norm(affine[:3, :3], axis=0))
        rule = f"at most {MOST_VOXELS} voxels of {' x '.join(map('{:g}'.format, spacing))} mm are needed"
        refuse(subject, path, rule, f"{values.size * finer:.3g}, of {values.size} of {sizes} mm")
    own, place = on_common_grid(values, affine, spacing)
    body = body_mask(own)
    if not body.any() or own[body].std() <= 0:
        refuse(subject, path, "an MR that shows a body is needed", "nothing brighter than the rest")
    low, high = np.percentile(own[body], _CLIPPED)
    own = np.clip(own, low, high)
    mean, spread = float(own[body].mean()), float(own[body].std())
    own = (own - mean) / (spread if spread > 0 else 1.0)
    own[~body] = own[body].min()
    return PreparedMR(np.ascontiguousarray(own, dtype=np.float32), body, place)


def on_common_grid(
    values: Floats, affine: Affine, spacing: Sequence[float], *, nearest: bool = False
) -> tuple[Floats, Affine]:
    """Return a volume along `AXES` with a spacing, and its affine.

    Args:
        values: `[X, Y, Z]`.
        affine: `[4, 4]`.
        spacing: In mm.
        nearest: Take the nearest voxel's value, for labels, rather than interpolate linearly.

    Raises:
        ConfigError: If MONAI is missing.
    """
    transforms = medical("monai.transforms")
    image = _tensor(values, affine)
    image = transforms.Orientation(axcodes=AXES, labels=_LABELS)(image)
    own = np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0)
    if np.abs(own / np.asarray(spacing) - 1).max() > _CLOSE:
        mode = "nearest" if nearest else "bilinear"
        resample = transforms.Spacing(pixdim=tuple(spacing), mode=mode, padding_mode="border")
        image = resample(image)
    return np.ascontiguousarray(image.numpy()[0], dtype=np.float32), np.asarray(image.affine)


def on_grid_of(
    values: NDArray[Any],
    affine: Affine,
    shape: Sequence[int],
    target: Affine,
    *,
    nearest: bool = False,
) -> Floats:
    """Return a prepared volume on a file's own grid.

    Args:
        values: `[X, Y, Z]`.
        affine: Of the prepared volume, `[4, 4]`.
        shape: Of the file's grid.
        target: Affine of the file's grid, `[4, 4]`.
        nearest: As in `on_common_grid`.

    Raises:
        ConfigError: If MONAI is missing.
    """
    resample = medical("monai.transforms").SpatialResample(
        mode="nearest" if nearest else "bilinear", padding_mode="border"
    )
    image = _tensor(np.asarray(values, dtype=np.float32), affine)
    found = resample(image, dst_affine=torch.as_tensor(target), spatial_size=tuple(shape))
    return np.asarray(found.numpy()[0], dtype=np.float32)


def _tensor(values: Floats, affine: Affine) -> Any:  # noqa: ANN401 (MONAI's MetaTensor)
    pixels = torch.from_numpy(np.ascontiguousarray(values))[None]
    return medical("monai.data").MetaTensor(pixels, affine=torch.as_tensor(affine))


def body_mask(values: Floats) -> NDArray[np.bool_]:
    """Return the body on an MR, dark places inside it included.

    The threshold between air and body is that of minimum cross-entropy (Li & Tam 1998); the largest connected piece is
    kept and filled slice by slice.

    Args:
        values: `[X, Y, Z]`.
    """
    smooth = ndimage.gaussian_filter(values, (1, 1, 0))
    body = smooth > _li_threshold(smooth)
    pieces, count = ndimage.label(body)
    if count > 1:
        body = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    body = ndimage.binary_closing(np.pad(body, 3), iterations=2)[3:-3, 3:-3, 3:-3]
    for slice_ in np.moveaxis(body, -1, 0):
        slice_[...] = ndimage.binary_fill_holes(slice_)
    return np.asarray(body, dtype=np.bool_)


def _li_threshold(values: Floats) -> float:
    lowest = float(values.min())
    shifted = np.sort(values.ravel().astype(np.float64) - lowest)
    sums = np.concatenate([[0.0], np.cumsum(shifted)])
    threshold = shifted.mean()
    for _ in range(100):
        below = int(np.searchsorted(shifted, threshold, side="right"))
        if below in (0, len(shifted)):
            break
        dark = sums[below] / below
        bright = (sums[-1] - sums[below]) / (len(shifted) - below)
        if dark <= 0 or bright <= dark:
            break
        moved = (bright - dark) / (np.log(bright) - np.log(dark))
        if abs(moved - threshold) < 1e-6 * bright:
            break
        threshold = moved
    return float(threshold) + lowest
