"""Folders of NumPy files as the MTAN repository distributes NYUv2 and Cityscapes, read as they are."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from sfg_nas.data.arrays import assemble, digest
from sfg_nas.data.checks import check_integer, check_share
from sfg_nas.data.images import DataBundle
from sfg_nas.data.location import Location
from sfg_nas.data.splits import Splits, divide
from sfg_nas.errors import DataError, explain
from sfg_nas.tasks import Task

Floats = NDArray[np.float32]


def load(
    location: Location,
    *,
    folder: str = "nyuv2",
    label: str = "label",
    unit: str = "m",
    size: int | None = None,
    validation: float = 0.15,
    fraction: float = 1.0,
    seed: int = 0,
) -> DataBundle:
    """Return a folder with `train/` and `val/`, each with `image/`, labels and `depth/` of 0.npy, 1.npy, ...

    Source of the layout: Liu, Johns and Davison 2019 (MTAN), its loaders of NYUv2 and Cityscapes.
    Images are `[H, W, 3]`, label maps `[H, W]` (negative = missing), depths `[H, W, 1]` or `[H, W]`
    (0 = missing). `val` becomes the test part; validation is drawn from `train`. Normals are not read.

    Args:
        location: The data root; everything is kept in memory.
        folder: Below the data root.
        label: The folder of the label maps, such as `label_7` of Cityscapes.
        unit: Of the depths.
        size: The shorter side in pixels that images are thinned to, or a little more: every k-th pixel is kept along
            both sides, without averaging; None keeps all.
        validation: The share of the training images that validation gets.
        fraction: The share of the remaining training images to keep.
        seed: Seed of both draws.

    Raises:
        ConfigError: If an option is impossible.
        DataError: If files are missing or their shapes do not fit together.
    """
    if size is not None:
        check_integer("npy-folders: size", size, 8)
    check_share("npy-folders: validation", validation, whole=False)
    root = location.folder(folder)
    counts, images, labels, depths = [], [], [], []
    for part in ("train", "val"):
        own = _stack(root / part / "image", size)
        counts.append(len(own))
        images.append(np.moveaxis(own, -1, 1))
        labels.append(_stack(root / part / label, size, len(own)).reshape(own.shape[:3]))
        depths.append(_stack(root / part / "depth", size, len(own)).reshape(own.shape[:3]))
    maps = np.concatenate(labels)
    depth = np.concatenate(depths)
    pixels = np.ascontiguousarray(np.concatenate(images))
    rows = np.arange(len(pixels))
    train, validated = divide(rows[: counts[0]], validation, groups=rows, seed=seed)
    splits = Splits(train, validated, rows[counts[0] :])
    tasks = (
        Task("labels", "segmentation", max(2, int(maps.max()) + 1)),
        Task("depth", "dense-regression", unit=unit),
    )
    targets = {"labels": np.where(maps < 0, -1, maps), "depth": np.where(depth == 0, np.nan, depth)}
    content = digest(pixels)
    kept = splits.with_fraction(fraction, seed)
    return assemble("npy-folders", pixels, targets, tasks, kept, content=content, augmentations=())


def _stack(folder: Path, size: int | None, wanted: int | None = None) -> Floats:
    """Return the files 0.npy, 1.npy, ... of a folder, thinned, `[N, H, W, ...]`."""
    count = len(list(folder.glob("*.npy")))
    if count == 0 or count != (wanted or count):
        _refuse(folder, f"{wanted or 'some'} files 0.npy, 1.npy, ... are needed", str(count))
    try:
        arrays = [np.load(folder / f"{k}.npy", allow_pickle=False) for k in range(count)]
        step = max(1, min(arrays[0].shape[:2]) // size) if size else 1
        return np.stack([np.asarray(a[::step, ::step], dtype=np.float32) for a in arrays])
    except (OSError, ValueError, IndexError) as error:
        _refuse(folder, "arrays of one shape are needed", f"{type(error).__name__}: {error}")


def _refuse(folder: Path, rule: str, found: str) -> NoReturn:
    do = "unpack the data set as it is distributed"
    raise DataError(explain(where=str(folder), rule=rule, found=found, do=do))
