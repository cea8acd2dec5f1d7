"""One photo from a file, turned upright, cut to its middle and resized; the same for training and afterwards."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sfg_nas.data.grey import WIDE, Reach, Window, opened, reach_of, to_bytes
from sfg_nas.errors import DataError, explain

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's name of an image by its number of channels."""
SIDES = (16, 32, 64)
_STEP = 8  # pixels, of a longer side
_ALIKE, _NEARLY_ALL, _LONGEST = 1.1, 0.9, 4
"""By which factor ratios of width to height may differ, in how many photos, and the greatest ratio that is kept."""
_ORIENTATION, _ON_THEIR_SIDE = 0x0112, (5, 6, 7, 8)
_SUBFILE, _SMALLER = 0x00FE, 1  # the tag of a TIFF page, and its bit for a smaller copy of another
_PASSING = (
    errno.EAGAIN, errno.EINTR, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT,
)  # fmt: skip
_BESIDE = "MPO"  # a camera's photo; what else it holds are views of it


class SeveralPicturesError(ValueError):
    """A file holds more than one picture, and which of them is meant cannot be known."""


def decode_photo(
    path: Path, shape: tuple[int, ...], window: Window | None = None
) -> tuple[NDArray[np.uint8], Reach | None]:
    """Return one photo [C, H, W] in the way that training photos are made, and how far its values go.

    Sixteen bits per pixel are brought to eight; an alpha channel is dropped.

    Args:
        path: Any file that Pillow reads.
        shape: C, H, W.
        window: See `to_bytes`, for grey values of more than eight bits.
    """
    image, reach = open_photo(path, shape[0], window)
    return fit_photo(image, shape[1:]), reach


def open_photo(
    path: Path, channels: int, window: Window | None = None
) -> tuple[Image.Image, Reach | None]:
    """Return a photo in full size, see `upright`, and how far its values go, see `reach_of`.

    Args:
        path: Any file that Pillow reads.
        channels: 1 (grey), 3 or 4.
        window: See `to_bytes`, for grey values of more than eight bits.
    """
    with opened(path) as file:
        reach = reach_of(file)  # of a file that is not read yet
        return upright(file, channels, window), reach


def upright(file: Image.Image, channels: int, window: Window | None = None) -> Image.Image:
    """Return a photo in full size, turned as its camera says, with eight bits per channel.

    Args:
        file: As opened.
        channels: 1 (grey), 3 or 4.
        window: See `to_bytes`, for grey values of more than eight bits.

    Raises:
        SeveralPicturesError: If it holds several pages or frames.
    """
    check_single(file)
    narrow = file
    if file.mode in WIDE:
        narrow = to_bytes(ImageOps.exif_transpose(file), window)  # bytes know no camera
    if narrow.mode == "P" and "transparency" in narrow.info:
        narrow = narrow.convert("RGBA")  # what Pillow asks for, with a warning
    return ImageOps.exif_transpose(narrow.convert(MODES[channels]))


def check_single(file: Image.Image) -> None:
    """Raise if a file holds several pictures; smaller copies of one, and the views of a camera's photo, are none.

    Args:
        file: As opened.

    Raises:
        SeveralPicturesError: If it does.
    """
    if not getattr(file, "is_animated", False) or file.format == _BESIDE:
        return
    count: int = getattr(file, "n_frames", 1)
    pages = getattr(file, "tag_v2", None)
    if pages is not None:
        count = 0
        for page in range(file.n_frames):  # type: ignore[attr-defined]
            file.seek(page)
            count += not file.tag_v2.get(_SUBFILE, 0) & _SMALLER  # type: ignore[attr-defined]
        file.seek(0)
    if count > 1:
        raise SeveralPicturesError(f"{count} pictures in one {file.format} file; save them apart")


def fit_photo(image: Image.Image, size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return a photo [C, H, W], cut to the middle of the wanted shape and resized.

    Args:
        image: From `upright`.
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
    with opened(path) as file:
        width, height = file.size  # that of a TIFF is upright already
        turned = file.getexif().get(_ORIENTATION, 1) in _ON_THEIR_SIDE
        turned = turned and not hasattr(file, "tag_v2")
    return (height, width) if turned else (width, height)


def reason_of(error: Exception) -> str:
    """Return why a photo could not be read, in a few words.

    Args:
        error: What the attempt raised.
    """
    if isinstance(error, FileNotFoundError):
        return "no such file"
    own = isinstance(error, SeveralPicturesError)
    return str(error) if own else f"{type(error).__name__}: {error}"


def check_machine(error: Exception, path: Path) -> None:
    """Refuse to go on if what failed is the machine, not the file: the next time it may be read.

    Args:
        error: What the attempt raised.
        path: The file.

    Raises:
        DataError: For too little memory, too many open files, or a disk that does not answer.
    """
    passing = isinstance(error, OSError) and error.errno in _PASSING
    if passing or isinstance(error, MemoryError):
        rule, found = "the machine must be able to read every file", reason_of(error)
        do = "free memory or mend the disk, and try again"
        raise DataError(explain(where=str(path), rule=rule, found=found, do=do)) from error


def usual_size(paths: Sequence[Path]) -> tuple[int | tuple[int, int], bool]:
    """Return a size that suits some photos, and whether all of them are grey.

    It is a side of 16, 32 or 64 pixels, or, where nearly all photos have one shape that is no square, height and width
    of that shape, the shorter of such a side: cut to the middle square, they would lose what is at the ends.

    Args:
        paths: Files; what cannot be read does not count.
    """
    sizes, grey = [], []
    for path in paths:
        try:
            sizes.append(upright_size(path))
            with opened(path) as file:
                grey.append(file.mode in ("1", "L", *WIDE))
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
    if not sizes:
        return SIDES[-1], False
    middle = sorted(map(min, sizes))[len(sizes) // 2]
    side = max((side for side in SIDES if side <= middle), default=SIDES[0])
    ratios = sorted(width / height for width, height in sizes)
    ratio = ratios[len(ratios) // 2]
    alike = sum(ratio / _ALIKE < one < ratio * _ALIKE for one in ratios)
    longer = round(side * max(ratio, 1 / ratio) / _STEP) * _STEP
    if alike < _NEARLY_ALL * len(ratios) or longer == side or longer > side * _LONGEST:
        return side, all(grey)
    return ((side, longer) if ratio > 1 else (longer, side)), all(grey)
