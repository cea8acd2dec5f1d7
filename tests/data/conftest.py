"""Small made folders in the layout of the data sets that are read from disk."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from sfg_nas.data.images import ImageSet

ROWS = np.array([3, 5, 8, 9, 12, 20, 21, 22, 23, 29])
"""The rows of the fixture `images`."""
MakePhoto = Callable[..., NDArray[np.uint8]]


def made_photo(number: int, side: int = 32) -> NDArray[np.uint8]:
    """Return a photo `[side, side, 3]` that no other number's photo resembles."""
    coarse = np.random.default_rng([7, number]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    large = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(large)


def face_name(number: int) -> str:
    return f"{20 + number}_{number % 2}_{number % 5}_2017{number:010d}.jpg.chip.jpg"


@pytest.fixture
def photo() -> MakePhoto:
    return made_photo


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Make a data root with 40 faces, ages 20 to 59, genders in turn; return it."""
    folder = tmp_path / "root" / "utkface"
    folder.mkdir(parents=True)
    for number in range(40):
        Image.fromarray(made_photo(number)).save(folder / face_name(number), quality=95)
    return folder.parent


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes()))


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """Make a data root with 60 + 20 digits; a digit's pixels all hold its own number."""
    folder = tmp_path / "root" / "mnist"
    folder.mkdir(parents=True)
    for part, start, count in (("train", 1, 60), ("t10k", 101, 20)):
        numbers = np.arange(start, start + count, dtype=np.uint8)
        images = np.tile(numbers[:, None, None], (1, 28, 28))
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", numbers % 10)
    return folder.parent


@pytest.fixture
def images() -> ImageSet:
    """Make ten rows out of thirty; the label of a row is its number."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 2, 16, 16), dtype=np.uint8)
    targets = {"row": torch.from_numpy(ROWS), "half": torch.from_numpy(ROWS).float() / 2}
    return ImageSet(pixels, ROWS, targets, mean=(100.0, 50.0), std=(10.0, 20.0))
