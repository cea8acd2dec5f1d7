"""A folder of pelvis phantoms: for each subject an MR, a CT and a label map as NIfTI."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfg_nas.data.checks import check_integer
from sfg_nas.data.volumes.files import Affine, write_volume
from sfg_nas.data.volumes.phantom import ORGANS, SMALLEST, make_anatomy
from sfg_nas.data.volumes.scans import scan_ct, scan_mr

_README = """\
Pelvis phantoms, made by `sfg-nas data phantom`: no patient was scanned for them.

Each folder holds one subject, all of its files on one grid:
  mr.nii.gz      T2-like MR, arbitrary units
  ct.nii.gz      CT, HU
  labels.nii.gz  {labels}
"""


def write_phantoms(
    folder: Path,
    subjects: int,
    *,
    seed: int = 0,
    size: int = 96,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write phantoms and return the subjects' folders.

    Subject n depends on the seed, the size and n only.

    Args:
        folder: Where to write; it is made if need be.
        subjects: How many.
        seed: Of all that is random.
        size: Voxels from left to right; three quarters of it from back to front, a quarter from bottom to top.
        progress: Called with (subjects done, subjects in all).

    Raises:
        ConfigError: If a number is impossible or nibabel is missing.
    """
    check_integer("phantom: subjects", subjects, 1)
    check_integer("phantom: size", size, SMALLEST)
    check_integer("phantom: seed", seed, 0)
    written = []
    for number in range(subjects):
        rng = np.random.default_rng([seed, number])
        anatomy = make_anatomy(rng, size)
        mr, ct = scan_mr(rng, anatomy), scan_ct(rng, anatomy)
        place = folder / f"phantom-{number + 1:02d}"
        affine = _affine(rng, anatomy.spacing, mr.shape)
        volumes: dict[str, NDArray[Any]] = {
            "mr": np.rint(mr).astype(np.int16),
            "ct": np.rint(ct).astype(np.int16),
            "labels": anatomy.labels,
        }
        for name, values in volumes.items():
            # Scanners count from the patient's right and front.
            write_volume(place / f"{name}.nii.gz", values[::-1, ::-1], affine)
        written.append(place)
        if progress is not None:
            progress(number + 1, subjects)
    labels = ", ".join(f"{number} {organ}" for organ, number in ORGANS.items())
    (folder / "README.txt").write_text(_README.format(labels=labels), encoding="utf-8")
    return written


def _affine(
    rng: np.random.Generator, spacing: tuple[float, float, float], shape: tuple[int, ...]
) -> Affine:
    """Return the affine of a scan that is turned by up to 3 degrees and lies anywhere near the scanner's centre."""
    turn = np.eye(3)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        angle = np.deg2rad(rng.uniform(-3, 3))
        step = np.eye(3)
        step[[first, second], [first, second]] = np.cos(angle)
        step[first, second], step[second, first] = -np.sin(angle), np.sin(angle)
        turn = turn @ step
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-spacing[0], -spacing[1], spacing[2]])
    middle = (np.asarray(shape) - 1) / 2
    affine[:3, 3] = rng.uniform(-20, 20, 3) - affine[:3, :3] @ middle
    return affine
