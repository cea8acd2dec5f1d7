"""Predictions that lie on pixels, as images of the photos' own sizes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from sfg_nas.data.decode import fit_box
from sfg_nas.tasks import Encoding, Task


def label_image(
    task: Task, output: Tensor, photo: tuple[int, int], encoding: Encoding
) -> NDArray[Any]:
    """Return a prediction as an image of its photo's size; what the network did not see is missing.

    The outputs are enlarged with linear interpolation, and then become classes, numbers or directions.

    Args:
        task: Of a dense kind.
        output: Of one photo, `[outputs, h, w]`.
        photo: Width and height of the photo, upright.
        encoding: Of the label images that the network was trained on.

    Returns:
        Whole numbers `[H, W]` or `[H, W, 3]`, or floating numbers `[H, W]`.
    """
    width, height = photo
    left, top, wide, high = (round(number) for number in fit_box(photo, tuple(output.shape[1:])))
    grown = functional.interpolate(
        output[None].float(),
        size=(max(1, high), max(1, wide)),
        mode="bilinear",
        align_corners=False,
    )
    labels = task.decode(grown)[0]
    frame = torch.full(
        (*labels.shape[:-2], height, width), task.rules.missing, dtype=task.rules.dtype
    )
    window = frame[..., top : top + high, left : left + wide]
    window.copy_(labels[..., : window.shape[-2], : window.shape[-1]])
    return task.rules.to_pixels(task, frame.numpy(), encoding)


def write_label_image(stem: Path, pixels: NDArray[Any]) -> Path:
    """Return the file that a label image was written to: a PNG of whole numbers, a NumPy file of others.

    Args:
        stem: Its path without the ending.
        pixels: From `label_image`.
    """
    ending = ".png" if np.issubdtype(pixels.dtype, np.integer) else ".npy"
    path = stem.with_name(stem.name + ending)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        if ending == ".png":
            Image.fromarray(pixels).save(partial, format="PNG")
        else:
            with partial.open("wb") as stream:
                np.save(stream, pixels, allow_pickle=False)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def stems_of(paths: Sequence[Path]) -> Mapping[Path, Path]:
    """Return what the names of each photo's label images begin with, all different: as little as tells them apart.

    Args:
        paths: Of the photos.
    """
    names: Sequence[Callable[[Path], Path]] = (
        lambda path: Path(path.stem),
        lambda path: Path(path.resolve().parent.name, path.stem),
        lambda path: Path(path.resolve().parent.name, path.name),
        lambda path: Path(*path.resolve().parts[1:]),
    )
    left = list(dict.fromkeys(paths))
    stems: dict[Path, Path] = {}
    for name in names:
        often = Counter(map(name, left))
        stems |= {path: name(path) for path in left if often[name(path)] == 1}
        left = [path for path in left if path not in stems]
    return stems | {path: names[-1](path) for path in left}
