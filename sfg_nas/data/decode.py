"""One photo from a file, turned upright, cut to its middle and resized; the same for training and afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sfg_nas.data.grey import WIDE, Window, to_bytes

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's name of an image by its number of channels."""
SIDES = (16, 32, 64)
_ORIENTATION, _ON_THEIR_SIDE = 0x0112, (5, 6, 7, 8)


def decode_photo(
    path: Path, shape: tuple[int, ...], window: Window | None = None
) -> NDArray[np.uint8]:
    """Return one photo [C, H, W] in the way that training photos are made.

    Sixteen bits per pixel are brought to eight; an alpha channel is dropped.

    Args:
        path: Any file that Pillow reads.
        shape: C, H, W.
        window: See `to_bytes`, for grey values of more than eight bits.
    """
    return fit_photo(open_upright(path, shape[0], window), shape[1:])


def open_upright(path: Path, channels: int, window: Window | None = None) -> Image.Image:
    """Return a photo in full size, turned as its camera says, with eight bits per channel.

    Args:
        path: Any file that Pillow reads.
        channels: 1 (grey), 3 or 4.
        window: See `to_bytes`, for grey values of more than eight bits.
    """
    with Image.open(path) as file:
        narrow = to_bytes(file, window) if file.mode in WIDE else file
        if narrow.mode == "P" and "transparency" in narrow.info:
            narrow = narrow.convert("RGBA")  # what Pillow asks for, with a warning
        return ImageOps.exif_transpose(narrow.convert(MODES[channels]))


def fit_photo(image: Image.Image, size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return a photo [C, H, W], cut to the middle of the wanted shape and resized.

    Args:
        image: From `open_upright`.
        size: H, W.
    """
    height, width = size
    small = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(small, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def fit_box(image: tuple[int, int], wanted: tuple[int, ...]) -> tuple[float, float, float, float]:
    """Return the middle of an image in a shape: left, top, width and height in pixels, as Pillow's `fit` cuts it.

    Args:
        image: Width and height.
        wanted: H, W, of which only the ratio counts.
    """
    width, height = image
    ratio = wanted[1] / wanted[0]
    cut = (height * ratio, height) if width / height >= ratio else (width, width / ratio)
    return (width - cut[0]) / 2, (height - cut[1]) / 2, float(cut[0]), float(cut[1])


def upright_size(path: Path) -> tuple[int, int]:
    """Return width and height of a photo that is turned as its camera says.

    Args:
        path: Any file that Pillow reads.
    """
    with Image.open(path) as file:
        width, height = file.size
        turned = file.getexif().get(_ORIENTATION, 1) in _ON_THEIR_SIDE
    return (height, width) if turned else (width, height)


def reason_of(error: Exception) -> str:
    """Return why a photo could not be read, in a few words.

    Args:
        error: What the attempt raised.
    """
    missing = isinstance(error, FileNotFoundError)
    return "no such file" if missing else f"{type(error).__name__}: {error}"


def usual_side(paths: Sequence[Path]) -> tuple[int, bool]:
    """Return a side in pixels that suits some photos, of 16, 32 and 64, and whether all of them are grey.

    Args:
        paths: Files; what cannot be read does not count.
    """
    sides, grey = [], []
    for path in paths:
        try:
            with Image.open(path) as file:
                sides.append(min(file.size))
                grey.append(file.mode in ("1", "L", *WIDE))
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
    if not sides:
        return SIDES[-1], False
    middle = sorted(sides)[len(sides) // 2]
    return max((side for side in SIDES if side <= middle), default=SIDES[0]), all(grey)
