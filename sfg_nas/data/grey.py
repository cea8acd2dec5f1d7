"""Pixel values of more than eight bits: how they become bytes, and what that would lose."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDE = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
"""Pillow's names of grey images with more than eight bits per pixel."""
Window = tuple[float, float]
"""The grey values that become black (0) and white (255), as scanners and viewers call it."""

_WORD = 65535
_BYTE = 255
_SIXTEEN = ";16"
"""In what Pillow tells of the pixels of a file, of sixteen bits."""
_FEW = 1 << 14
"""Whole numbers that all stay below this fill less than a quarter of 16 bits: at most 64 of 256 levels would be left."""


@dataclass(frozen=True)
class Reach:
    """From where to where the values of some wide images go.

    Attributes:
        images: How many they are.
        floating: Whether they are fractions, not whole numbers.
        least: Of all values.
        most: Of all values.
        dimmest: The least of the images' own greatest values.
        colour: Whether they have several channels, of which Pillow reads the upper eight of sixteen bits: there is no
            window for them, and the values are known to the next 257th only.
    """

    images: int
    floating: bool
    least: float
    most: float
    dimmest: float
    colour: bool = False

    def lost(self) -> str:
        """Return what is lost of these values without a window, in a few words; empty if nothing is."""
        if self.least == self.most:  # no window has both ends at one value
            return ""
        kind = "fractions" if self.floating else "whole numbers"
        images = "images of several channels" if self.colour else "images"
        about = "about " if self.colour else ""
        found = (
            f"{self.images} {images} hold {kind} from {about}{self.least:g} to {about}{self.most:g}"
        )
        most = _BYTE if self.floating else _WORD
        if self.least < 0 or self.most > most:
            return f"{found}, of which those outside 0 to {most} are cut off"
        if self.floating and self.most > 1 >= self.dimmest:
            return f"{found}, some images only up to {self.dimmest:g}: those are taken as 0 to 1, the others as 0 to 255"
        if not self.floating and self.most < _FEW:
            levels = round(self.most / (_WORD / _BYTE)) + 1
            return f"{found}, of which 256 {'' if self.colour else 'grey '}levels keep {levels}"
        return ""

    def advice(self) -> str:
        """Return what to do about what is lost."""
        if self.colour:
            return "write them with eight bits per channel first"
        return f"`window: {shown_window(self)}` keeps all"

    def window(self) -> Window:
        """Return a window that keeps all of it: up to a power of two for whole numbers."""
        if self.floating:
            return self.least, self.most
        return min(self.least, 0), float((1 << int(self.most).bit_length()) - 1)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Yield an image that Pillow opened, and close it.

    Args:
        path: Any file that Pillow reads.
    """
    with Image.open(path) as file:
        if hasattr(file, "tag_v2"):
            # Pillow 13 maps the pixels of a TIFF by the sides of the turned image, which mixes them up; without a
            # name it reads them.
            file.filename = ""
        yield file


def to_bytes(image: Image.Image, window: Window | None = None) -> Image.Image:
    """Return a wide grey image with eight bits per pixel.

    Args:
        image: Of a mode in `WIDE`.
        window: What becomes black and white; None for 0 to 65535 of whole numbers, and 0 to 1 (or to 255, if the
            image has a value above 1) of fractions.

    Raises:
        ValueError: If it holds something that is no number.
    """
    values = _values(image)
    if window is not None:
        low, high = window
        values = (values - low) * (_BYTE / (high - low))
    elif image.mode == "F":
        values = values * _BYTE if values.max() <= 1 else values
    else:
        values /= _WORD / _BYTE
    return Image.fromarray(np.clip(np.rint(values), 0, _BYTE).astype(np.uint8))


def reach_of(image: Image.Image) -> Reach | None:
    """Return how far an image's values go, None if it has eight bits.

    Args:
        image: As opened, and not read yet: afterwards Pillow does not tell that a colour image had sixteen bits.

    Raises:
        ValueError: If it holds something that is no number.
        OSError: If it cannot be decoded; Pillow's decoders raise other errors, too.
    """
    if image.mode not in WIDE:
        return _reach_of_colour(image) if _SIXTEEN in str(getattr(image, "tile", "")) else None
    values = _values(image)
    most = float(values.max())
    return Reach(1, image.mode == "F", float(values.min()), most, most)


def _reach_of_colour(image: Image.Image) -> Reach:
    bands = np.array(image.convert("RGB").getextrema()) * float(_WORD // _BYTE)
    least, most = float(bands.min()), float(bands.max())
    return Reach(1, floating=False, least=least, most=most, dimmest=most, colour=True)


def all_together(reaches: Iterable[Reach | None]) -> tuple[Reach, ...]:
    """Return one reach of all whole numbers, one of all fractions and one of all colours, of those that there are.

    Args:
        reaches: Of single images, or of some together; None counts for nothing.
    """
    found: dict[tuple[bool, bool], Reach] = {}
    for own in reaches:
        if own is not None:
            kind = (own.colour, own.floating)
            before = found.get(kind, own)
            found[kind] = replace(
                own,
                images=own.images + (before.images if kind in found else 0),
                least=min(before.least, own.least),
                most=max(before.most, own.most),
                dimmest=min(before.dimmest, own.dimmest),
            )
    return tuple(found[key] for key in sorted(found))


def advice(wide: Sequence[Reach], window: Window | None) -> list[str]:
    """Return warnings about values that would be lost, or a window that does nothing.

    Args:
        wide: From `all_together`.
        window: As the study gives it.
    """
    grey = [own for own in wide if not own.colour]
    said = []
    if window is not None and not grey:
        said = ["`window` changes nothing: no grey image has more than eight bits"]
    return said + lost_values(wide, window)


def lost_values(wide: Sequence[Reach], window: Window | None) -> list[str]:
    """Return warnings about values that are lost where images become bytes.

    Args:
        wide: From `all_together`.
        window: See `to_bytes`; it is for grey images.
    """
    unseen = [own for own in wide if window is None or own.colour]
    return [f"{own.lost()}; {own.advice()}" for own in unseen if own.lost()]


def usual_window(paths: Iterable[Path]) -> Reach | None:
    """Return how far the grey values of some photos go if they need a window, else None.

    Args:
        paths: Files; what cannot be read does not count.
    """
    found: list[Reach | None] = []
    for path in paths:
        try:
            with opened(path) as file:
                found.append(reach_of(file))
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
    return next((own for own in all_together(found) if own.lost() and not own.colour), None)


def shown_window(reach: Reach) -> str:
    """Return a window as a study file has it.

    Args:
        reach: What it keeps.
    """
    low, high = reach.window()
    return f"[{low:.6g}, {high:.6g}]"


def _values(image: Image.Image) -> NDArray[np.float64]:
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("NaN or infinity among the pixels")
    return values
