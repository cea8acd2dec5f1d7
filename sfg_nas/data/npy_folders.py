"""Folders of NumPy files as the MTAN repository distributes NYUv2 and Cityscapes, read as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from sfg_nas.data.arrays import assemble, digest
from sfg_nas.data.bundle import DataBundle
from sfg_nas.data.checks import check_integer, check_share
from sfg_nas.data.location import Location
from sfg_nas.data.splits import Splits, divide
from sfg_nas.data.troubles import Inspection
from sfg_nas.errors import DataError, explain
from sfg_nas.tasks import Task

Floats = NDArray[np.float32]


def load(  # noqa: PLR0913 (the options of a data set are its keywords)
    location: Location,
    *,
    folder: str = "nyuv2",
    label: str = "label",
    normal: str = "normal",
    unit: str = "m",
    size: int | None = None,
    validation: float = 0.15,
    fraction: float = 1.0,
    seed: int = 0,
) -> DataBundle:
    """Return a folder with `train/` and `val/`, each with `image/`, labels, `depth/` and perhaps `normal/` of 0.npy, ...

    Source of the layout: Liu, Johns and Davison 2019 (MTAN), its loaders of NYUv2 and Cityscapes.
    Images are `[H, W, 3]`, label maps `[H, W]` (negative = missing), depths `[H, W, 1]` or `[H, W]`
    (0 = missing), normals `[H, W, 3]` (all 0 = missing). `val` becomes the test part; validation is drawn from
    `train`. The tasks are `labels`, `depth` and, where their folder is there (NYUv2), `normals`.

    Args:
        location: The data root; everything is kept in memory.
        folder: Below the data root.
        label: The folder of the label maps, such as `label_7` of Cityscapes.
        normal: The folder of the normals, read where it exists.
        unit: Of the depths; Cityscapes' are disparities, the inverse of a distance.
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
    folders = [label, "depth", *([normal] if has_normals(root, normal) else [])]
    images, counts, maps = [], [], {name: list[Floats]() for name in folders}
    for part in ("train", "val"):
        own = _stack(root / part / "image", size, last=3)
        counts.append(len(own))
        images.append(np.moveaxis(own, -1, 1))
        for name in folders:
            channels = 3 if name == normal else 1
            found = _stack(root / part / name, size, len(own), channels)
            if found.shape[:3] != own.shape[:3]:
                rule = f"maps of the images' size {own.shape[1:3]} are needed"
                _refuse(root / part / name, rule, str(found.shape[1:3]))
            maps[name].append(np.moveaxis(found, -1, 1) if name == normal else found[..., 0])
    whole = {name: np.concatenate(parts) for name, parts in maps.items()}
    pixels = np.ascontiguousarray(np.concatenate(images))
    rows = np.arange(len(pixels))
    train, validated = divide(rows[: counts[0]], validation, groups=rows, seed=seed)
    splits = Splits(train, validated, rows[counts[0] :])
    targets = {
        "labels": np.where(whole[label] < 0, -1, whole[label]),
        "depth": np.where(whole["depth"] == 0, np.nan, whole["depth"]),
    }
    tasks = [
        Task("labels", "segmentation", max(2, int(whole[label].max()) + 1)),
        Task("depth", "dense-regression", unit=unit),
    ]
    if normal in whole:
        targets["normals"] = whole[normal]
        tasks.append(Task("normals", "normals", 3))
    kept = splits.with_fraction(fraction, seed)
    return assemble("npy-folders", pixels, targets, tasks, kept, content=digest(pixels))


def inspect(given: Mapping[str, object], location: Location) -> Inspection:
    """Return the tasks that a folder offers, as far as it can be seen without reading an array.

    Args:
        given: The data set's options.
        location: Where the data root is.
    """
    names = ("labels", "depth", "normals")
    folder, normal = str(given.get("folder", "nyuv2")), str(given.get("normal", "normal"))
    if location.root is None or not (location.root / folder).is_dir():
        return Inspection(names)
    return Inspection(names if has_normals(location.root / folder, normal) else names[:2])


def has_normals(root: Path, normal: str) -> bool:
    """Return whether the train part has normals.

    Args:
        root: The folder of the data set.
        normal: The name of the folder of the normals.
    """
    return (root / "train" / normal).is_dir()


def _stack(folder: Path, size: int | None, wanted: int | None = None, last: int = 1) -> Floats:
    """Return the files 0.npy, 1.npy, ... of a folder, thinned, `[N, H, W, last]`."""
    count = len(list(folder.glob("*.npy")))
    if count == 0 or count != (wanted or count):
        _refuse(folder, f"{wanted or 'some'} files 0.npy, 1.npy, ... are needed", str(count))
    try:
        arrays = [np.load(folder / f"{k}.npy", allow_pickle=False) for k in range(count)]
        step = max(1, min(arrays[0].shape[:2]) // size) if size else 1
        found = np.stack([np.asarray(a[::step, ::step], dtype=np.float32) for a in arrays])
    except (OSError, ValueError, IndexError) as error:
        _refuse(folder, "arrays of one shape are needed", f"{type(error).__name__}: {error}")
    found = found[..., None] if found.ndim == 3 and last == 1 else found
    if found.ndim != 4 or found.shape[-1] != last:
        _refuse(folder, f"arrays [H, W, {last}] are needed", str(list(found.shape[1:])))
    return found


def _refuse(folder: Path, rule: str, found: str) -> NoReturn:
    do = "unpack the data set as it is distributed"
    raise DataError(explain(where=str(folder), rule=rule, found=found, do=do))
