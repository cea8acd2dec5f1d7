"""A data set from arrays: checks, measured normalisation and scales, fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sfg_nas.data.augment import AUGMENTATIONS
from sfg_nas.data.bundle import DataBundle
from sfg_nas.data.images import ImageSet, Pixels
from sfg_nas.data.splits import Splits, random_splits
from sfg_nas.errors import DataError, explain
from sfg_nas.tasks import Task

_CHUNK = 1024
_SIDE = 8  # pixels that no image has fewer of, unless its channels stand last


def bundle_from_arrays(
    images: NDArray[np.generic] | Tensor,
    targets: Mapping[str, ArrayLike | Tensor],
    tasks: Sequence[Task],
    *,
    splits: Splits | None = None,
    name: str = "arrays",
    seed: int = 0,
    augmentations: Sequence[str] = tuple(AUGMENTATIONS),
) -> DataBundle:
    """Return a data set made of your own images and labels.

    Args:
        images: `[N, C, *spatial]`, or `[N, H, W]` for grey, of uint8 or floating numbers.
        targets: For each task its labels `[N]`: classes (-1 or NaN = missing) or numbers in the
            task's unit (NaN = missing); what an array of NumPy masks is missing, too.
        tasks: The tasks. A regression's center and scale are measured on the training part unless
            the task already holds others than 0 and 1.
        splits: The rows of each part; without it, a seeded 80 : 10 : 10.
        name: The name of the data set.
        seed: Seed of the split if none is given.
        augmentations: The names of the augmentations that leave the labels true.

    Raises:
        DataError: If shapes, types or labels do not fit.
    """
    pixels = _check_images(images, name)
    names = [task.name for task in tasks]
    if len(set(names)) < len(names):
        _refuse(f"{name}: tasks", "each task needs a name of its own", ", ".join(names))
    bundle = assemble(
        name,
        pixels,
        targets,
        tasks,
        splits or random_splits(len(pixels), seed=seed),
        content=digest(pixels),
        augmentations=augmentations,
    )
    for task in bundle.tasks:
        parts = (bundle.train, bundle.validation, bundle.test)
        rows = (task.labelled(cast("ImageSet", part).targets[task.name]) for part in parts)
        if task.unmeasured and not any(bool(known.any()) for known in rows):
            _refuse(f"{name}: targets: {task.name}", "at least one label is needed", "none")
    return bundle


def numbers_of(values: object) -> NDArray[Any]:
    """Return an array of tensors, arrays and lists; what is masked as NaN, and bfloat16, which NumPy lacks, in single precision.

    Args:
        values: Any.
    """
    if isinstance(values, Tensor):
        own = values.detach().cpu()
        return (own.float() if own.dtype == torch.bfloat16 else own).numpy()
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        return np.where(np.ma.getmaskarray(values), np.nan, np.ma.getdata(values))
    return np.asarray(values)


def digest(pixels: Pixels) -> str:
    """Return the SHA-256 of an array's shape, type and content."""
    found = hashlib.sha256(str((pixels.shape, str(pixels.dtype))).encode())
    found.update(np.ascontiguousarray(pixels).data)
    return found.hexdigest()


def assemble(
    name: str,
    images: Pixels,
    targets: Mapping[str, ArrayLike | Tensor],
    tasks: Sequence[Task],
    splits: Splits,
    *,
    content: str,
    augmentations: Sequence[str] = tuple(AUGMENTATIONS),
    warnings: Sequence[str] = (),
) -> DataBundle:
    """Return the data set: labels checked, everything measured on the training rows that have some.

    Args:
        name: The name of the data set.
        images: `[N, C, *spatial]`, uint8 or float32.
        targets: For each task its labels `[N]`.
        tasks: The tasks.
        splits: The rows of each part.
        content: A digest of the images' source and of the settings they were made with.
        augmentations: The names of the augmentations that leave the labels true.
        warnings: What was left out, for a person to read.

    Raises:
        DataError: If labels or rows do not fit the images.
    """
    labels = {task.name: _check_target(task, targets, images.shape, name) for task in tasks}
    rows = np.concatenate([splits.train, splits.validation, splits.test])
    if rows.min() < 0 or rows.max() >= len(images):
        raise DataError(
            explain(
                where=f"{name}: splits",
                rule=f"rows are numbers from 0 to {len(images) - 1}",
                found=f"rows from {rows.min()} to {rows.max()}",
                do="check the split",
            )
        )
    # Gathering rows of an array with another memory layout would copy the whole array each time.
    pixels: Pixels = np.require(images, requirements="C")
    mean, std = measure(pixels, splits.train)

    def part(rows: NDArray[np.int64]) -> ImageSet:
        at = torch.from_numpy(rows)
        own = {task: values[at] for task, values in labels.items()}
        return ImageSet(pixels, rows, own, mean, std, tuple(augmentations), tuple(tasks))

    train = part(splits.train)
    return DataBundle(
        name=name,
        tasks=tuple(_measured(task, train.targets[task.name]) for task in tasks),
        train=train,
        validation=part(splits.validation),
        test=part(splits.test),
        fingerprint=_fingerprint(content, splits, labels),
        image_shape=train.image_shape,
        warnings=tuple(warnings),
    )


def measure(images: Pixels, rows: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel over these rows.

    Args:
        images: `[N, C, *spatial]`.
        rows: The rows to measure, `[n]`.

    Returns:
        Two tuples of C numbers in the units of `images`; a constant channel has deviation 1.
    """
    axes = (0, *range(2, images.ndim))
    sums = np.zeros((2, images.shape[1]), dtype=np.float64)
    # Around one of the values: squares of a large mean would take the digits of a small deviation.
    near = images[rows[0]].reshape(images.shape[1], -1)[:, 0].astype(np.float64)
    for start in range(0, len(rows), _CHUNK):
        chunk = images[np.sort(rows)[start : start + _CHUNK]]
        if chunk.dtype == np.uint8:
            sums += _byte_sums(chunk.astype(np.uint8, copy=False))
        else:
            wide = chunk.astype(np.float64) - near.reshape(-1, *[1] * (images.ndim - 2))
            sums += np.stack([wide.sum(axes), np.square(wide).sum(axes)])
    mean, square = sums / (len(rows) * int(np.prod(images.shape[2:])))
    std = np.sqrt(np.maximum(square - mean**2, 0))
    mean += 0 if images.dtype == np.uint8 else near
    # Units are the user's: only what single precision does not tell from the mean counts as constant.
    single = np.finfo(np.float32)
    least = np.maximum(np.abs(mean) * float(single.eps), float(single.tiny))
    return tuple(mean.tolist()), tuple(np.where(std > least, std, 1.0).tolist())


def _byte_sums(chunk: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the sums of the values and of their squares, `[2, C]`, by counting each byte value."""
    values = np.arange(256, dtype=np.float64)
    counts = np.stack(
        [np.bincount(channel.ravel(), minlength=256) for channel in chunk.swapaxes(0, 1)]
    )
    return np.stack([counts @ values, counts @ values**2])


def _measured(task: Task, targets: Tensor) -> Task:
    """Return the task as it is without a label: it may be left out yet, or else `check_scorable` refuses it."""
    known = task.unmeasured and bool(task.labelled(targets).any())
    return task.measured(targets) if known else task


def _check_images(images: NDArray[np.generic] | Tensor, name: str) -> Pixels:
    array = numbers_of(images)
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim < 4 or 0 in array.shape:
        _refuse(f"{name}: images", "a shape [N, C, H, W] without a 0 is needed", array.shape)
    if array.ndim == 4 and array.shape[-1] in (3, 4) and min(array.shape[1:3]) >= _SIDE:
        found = f"{array.shape}, which looks like [N, H, W, C]"
        _refuse(f"{name}: images", "a shape [N, C, H, W] is needed", found)
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        _refuse(f"{name}: images", "uint8 or floating numbers are needed", array.dtype)
    floats = array.astype(np.float32, copy=False)
    if not np.isfinite(floats).all():
        _refuse(f"{name}: images", "finite pixels are needed", "NaN or infinity")
    return floats


def _check_target(
    task: Task, targets: Mapping[str, ArrayLike | Tensor], images: tuple[int, ...], name: str
) -> Tensor:
    where = f"{name}: targets: {task.name}"
    if task.name not in targets:
        _refuse(where, "each task needs labels", f"labels of {', '.join(targets) or 'nothing'}")
    found = targets[task.name]
    numbers = numbers_of(found)
    wanted = (images[0], *task.target_shape(images[1:]))
    if numbers.shape != wanted or numbers.dtype.kind not in "uif":
        each = "one per image" if len(wanted) == 1 else f"of shape {wanted}"
        rule = f"{images[0]} numbers, {each}, are needed"
        _refuse(where, rule, f"{numbers.shape} {numbers.dtype}")
    return task.targets(numbers, where)


def _fingerprint(content: str, splits: Splits, labels: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256(content.encode())
    for rows in (splits.train, splits.validation, splits.test):
        found.update(len(rows).to_bytes(8, "little"))
        found.update(rows.astype("<i8").tobytes())
    for task, values in sorted(labels.items()):
        found.update(task.encode())
        found.update(values.numpy().tobytes())
    return found.hexdigest()


def _refuse(where: str, rule: str, found: object) -> NoReturn:
    raise DataError(explain(where=where, rule=rule, found=str(found), do="check what you pass in"))
