"""MultiMNIST: two overlapping MNIST digits, a known case of conflict between tasks."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from sfg_nas.data.bundle import DataBundle
from sfg_nas.data.checks import check_integer
from sfg_nas.data.location import Location
from sfg_nas.data.pairs import Bytes, Integers, Pairs, bundle_of_pairs, compose
from sfg_nas.errors import DataError, explain
from sfg_nas.tasks import Task

_CANVAS, _SHIFT = 36, 6
_VALIDATION_SOURCES = 10_000
_IMAGES, _LABELS = 2051, 2049


def load(
    location: Location,
    *,
    size: int = 28,
    train: int = 50_000,
    validation: int = 10_000,
    test: int = 10_000,
    fraction: float = 1.0,
    seed: int = 0,
) -> DataBundle:
    """Return pairs of MNIST digits, read from `mnist/*.gz` (idx files) below the data root.

    As in Sener & Koltun 2018, "Multi-task learning as multi-objective optimization", section 5.1,
    and its published loader: the left digit in the upper left of a 36 x 36 canvas, the right one 6
    pixels further down and right, the brighter pixel where they overlap, reduced to `size` by
    nearest neighbours. They have no validation part; here a seeded sixth (10,000) of MNIST's
    training digits serves validation only, and `test` comes from MNIST's test digits. Tasks: `left`
    and `right`, 10 classes each.

    Args:
        location: The data root.
        size: Side of the images in pixels.
        train: Training images to compose.
        validation: Validation images to compose.
        test: Test images to compose.
        fraction: The share of the training images to keep.
        seed: Seed of the division and of the pairs.

    Raises:
        ConfigError: If an option is impossible.
        DataError: If a file is missing or damaged.
    """
    check_integer("multimnist: size", size, 8)
    check_integer("multimnist: seed", seed, 0)
    folder = location.folder("mnist")
    images, labels = read_mnist(folder, "train")
    order = np.random.default_rng([seed, 11]).permutation(len(images))
    # A smaller set (as in tests) keeps the same share of sources for validation.
    kept = len(images) - min(_VALIDATION_SOURCES, max(1, len(images) // 6))
    sources = (
        (images[order[:kept]], labels[order[:kept]]),
        (images[order[kept:]], labels[order[kept:]]),
        read_mnist(folder, "t10k"),
    )
    counts = {"train": train, "validation": validation, "test": test}
    parts: list[Pairs] = []
    for part, (digits, classes) in zip(counts, sources, strict=True):
        count = check_integer(f"multimnist: {part}", counts[part], 1)
        corners = np.tile(np.array([[0, 0], [_SHIFT, _SHIFT]]), (count, 1, 1))
        rng = np.random.default_rng([seed, len(parts), 10])
        parts.append(_resized(compose(digits, classes, corners, _CANVAS, rng), size))
    tasks = (Task("left", "classification", 10), Task("right", "classification", 10))
    return bundle_of_pairs("multimnist", parts, tasks, fraction=fraction, seed=seed)


def read_mnist(folder: Path, part: str) -> tuple[Bytes, Integers]:
    """Return the images `[n, 28, 28]` and classes `[n]` of one part of MNIST.

    Args:
        folder: The folder of the gzipped idx files.
        part: `train` or `t10k`.

    Raises:
        DataError: If a file is missing or damaged, or the two do not fit.
    """
    path = folder / f"{part}-images-idx3-ubyte.gz"
    images = _read_idx(path, _IMAGES)
    labels = _read_idx(folder / f"{part}-labels-idx1-ubyte.gz", _LABELS)
    if len(images) != len(labels) or images.shape[1:] != (28, 28) or labels.max() > 9:
        raise DataError(
            explain(
                where=str(path),
                rule="images of 28 x 28 with one class from 0 to 9 each are needed",
                found=f"images {images.shape}, labels {labels.shape}",
                do="fetch the files again",
            )
        )
    return images, labels.astype(np.int64)


def _read_idx(path: Path, magic: int) -> Bytes:
    try:
        with gzip.open(path) as file:
            content = file.read()
        dimensions = content[3] if len(content) >= 4 else 0
        found, *shape = struct.unpack_from(f">{1 + dimensions}I", content)
        data = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if found != magic or len(data) == 0:
        raise _damaged(path, f"number {found} at the start and {len(data)} entries")
    return data


def _damaged(path: Path, found: str) -> DataError:
    return DataError(
        explain(
            where=str(path),
            rule="a gzipped idx file of MNIST is needed",
            found=found,
            do="put the four MNIST files into the folder `mnist` below the data root",
        )
    )


def _resized(pairs: Pairs, size: int) -> Pairs:
    nearest = ((np.arange(size) + 0.5) * _CANVAS / size).astype(np.int64)
    return replace(pairs, images=pairs.images[:, nearest[:, None], nearest[None, :]])
