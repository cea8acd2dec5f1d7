"""How the pixels of a label image stand for labels, for the kinds whose labels lie on pixels."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from sfg_nas.tasks.encoding import Encoding, Pixels
from sfg_nas.tasks.kind import Labels, WrongLabelError

_COLOUR = re.compile(r"^#[0-9a-f]{6}$")
_MOST_SHOWN = 5


def encoding_of(entry: Mapping[str, object]) -> Encoding:
    """Return the encoding that the keys of an entry say.

    Args:
        entry: With any of `values`, `missing` and `factor`.

    Raises:
        WrongLabelError: If one of them is impossible.
    """
    values = _listed(entry.get("values"), "values", (int, str))
    missing = _listed(entry.get("missing"), "missing", (int, float, str))
    factor = entry.get("factor", 1.0)
    number = isinstance(factor, int | float) and not isinstance(factor, bool)
    if not number or not math.isfinite(factor) or factor == 0:  # type: ignore[arg-type]
        raise WrongLabelError("`factor`, a number other than 0, is needed", repr(factor))
    if len(set(values)) < len(values) or set(values) & set(missing):
        rule = "each pixel may stand once, among `values` or as `missing`"
        raise WrongLabelError(rule, f"values {list(values)}, missing {list(missing)}")
    if len({isinstance(value, str) for value in values}) > 1:
        raise WrongLabelError("`values`, all numbers or all colours, are needed", list(values))
    return Encoding(values, missing, float(factor))  # type: ignore[arg-type]


def _listed(given: object, key: str, kinds: tuple[type, ...]) -> tuple[int | float | str, ...]:
    """Return one value or a list of them as a tuple; colours in small letters."""
    found: list[object] = [given] if given is not None else []
    found = list(given) if isinstance(given, list | tuple) else found
    low = [item.lower() if isinstance(item, str) else item for item in found]
    for item in low:
        colour = not isinstance(item, str) or _COLOUR.match(item)
        if isinstance(item, bool) or not isinstance(item, kinds) or not colour:
            what = "numbers" if float in kinds else "whole numbers"
            raise WrongLabelError(
                f"`{key}`, {what} or colours such as '#ff8000', are needed", repr(item)
            )
    return tuple(low)  # type: ignore[arg-type]


def single(pixels: Pixels) -> Pixels:
    """Return one number per pixel `[H, W]`.

    Args:
        pixels: `[H, W, C]`; several channels must be the same, an alpha channel apart.

    Raises:
        WrongLabelError: If they are not.
    """
    colours = pixels[..., : pixels.shape[-1] - (pixels.shape[-1] in (2, 4))]
    first: Pixels = colours[..., 0]
    if any(not np.array_equal(first, colours[..., k]) for k in range(1, colours.shape[-1])):
        raise WrongLabelError("one number per pixel is needed", "an image in colour")
    return first


def classes_of(pixels: Pixels, encoding: Encoding, count: int) -> Labels:
    """Return classes `[H, W]`, NaN where they are missing.

    Args:
        pixels: `[H, W, C]`.
        encoding: Which pixel stands for which class. Where it does not say what is missing, 255 and -1 are, as far as
            they are no class.
        count: Of the classes.

    Raises:
        WrongLabelError: If a pixel stands for nothing.
    """
    if encoding.coloured:
        numbers, values = _packed(pixels), [_number(value) for value in encoding.values]
    else:
        numbers, values = single(pixels), [_number(v) for v in encoding.values or range(count)]
    missing = [_number(value) for value in encoding.missing] or [
        v for v in (255, -1) if v not in values
    ]
    found, places = _distinct(numbers)
    classes = np.full(len(found), np.nan)
    for place, number in enumerate(found.tolist()):
        if number in values:
            classes[place] = values.index(number)
    known = [number in values or number in missing or number != number for number in found.tolist()]
    if not all(known):
        wrong = found[~np.array(known)].tolist()[:_MOST_SHOWN]
        shown = encoding.values or f"0 to {count - 1}"
        rule = f"pixels of {_said(shown)}, or {_said(encoding.missing or missing)} where missing, are needed"
        raise WrongLabelError(rule, ", ".join(_shown(v, encoding) for v in wrong))
    labels: Labels = classes[places]
    return labels


def numbers_of(pixels: Pixels, encoding: Encoding) -> Labels:
    """Return numbers in the task's unit `[H, W]`, NaN where they are missing.

    Args:
        pixels: `[H, W, C]`.
        encoding: Which pixels say nothing, and the factor.

    Raises:
        WrongLabelError: If a number is infinite and not said to be missing, or there are several per pixel.
    """
    numbers = single(pixels).astype(np.float64)
    for value in encoding.missing:
        numbers[numbers == _number(value)] = np.nan
    if np.isinf(numbers).any():
        raise WrongLabelError("finite numbers, or NaN where missing, are needed", "infinity")
    labels: Labels = numbers * encoding.factor
    return labels


def directions_of(pixels: Pixels) -> Labels:
    """Return directions `[3, H, W]`, each part from -1 to 1; NaN where they are missing.

    Args:
        pixels: `[H, W, 3]`, or `[3, H, W]`. Bytes from 0 to 255 (or 16 bits) stand for -1 to 1; black, and what has next
            to no length, is missing.

    Raises:
        WrongLabelError: If there are not three parts, or one is beyond -1 and 1.
    """
    parts = channels_last(pixels)
    parts = parts[..., :3] if parts.shape[-1] == 4 else parts
    if parts.shape[-1] != 3:
        raise WrongLabelError(
            "three numbers per pixel, x, y and z, are needed", f"{parts.shape[-1]}"
        )
    if np.issubdtype(parts.dtype, np.integer):
        half = np.iinfo(np.uint8 if parts.max(initial=0) <= 255 else np.uint16).max / 2
        found = np.where((parts == 0).all(-1, keepdims=True), np.nan, parts / half - 1)
    else:
        found = parts.astype(np.float64)
        if (np.abs(found) > 1.01).any():
            rule = "numbers from -1 to 1, or bytes from 0 to 255, are needed"
            raise WrongLabelError(rule, f"{found[np.abs(found) > 1.01][0]:g}")
    length = np.sqrt(np.square(found).sum(-1, keepdims=True))
    labels: Labels = np.moveaxis(np.where(length > 0.1, found, np.nan), -1, 0)
    return labels


def channels_last(pixels: Pixels) -> Pixels:
    """Return a label image `[H, W, C]`, also if it lies as `[3, H, W]`, as some keep normals.

    Args:
        pixels: Either.
    """
    return np.moveaxis(pixels, 0, -1) if pixels.shape[0] == 3 != pixels.shape[-1] else pixels


def pixels_of_classes(classes: Pixels, encoding: Encoding, count: int) -> Pixels:
    """Return a label image `[H, W]`, or `[H, W, 3]` in colours, that `classes_of` reads.

    Args:
        classes: `[H, W]`, negative where there is none.
        encoding: Which pixel stands for which class.
        count: Of the classes.
    """
    values = [_number(value) for value in encoding.values or range(count)]
    free = (0x808080, 0xFFFFFF, 0) if encoding.coloured else (*range(255, -1, -1), 65535)
    unused = next(value for value in free if value not in values)
    none = _number(encoding.missing[0]) if encoding.missing else unused
    table = np.array([*values, none if none >= 0 else unused], dtype=np.int64)
    found = table[np.where(classes < 0, len(values), classes)]
    if encoding.coloured:
        return np.stack([found >> 16, found >> 8 & 255, found & 255], axis=-1).astype(np.uint8)
    return found.astype(np.uint8 if table.max() <= 255 else np.uint16)


def _distinct(numbers: Pixels) -> tuple[Pixels, Pixels]:
    """Return the different numbers, and the place of each pixel's among them."""
    if np.issubdtype(numbers.dtype, np.unsignedinteger) and numbers.dtype.itemsize <= 2:
        there = np.bincount(numbers.ravel()) > 0  # a sort of all pixels takes much longer
        return np.flatnonzero(there), (there.cumsum() - 1)[numbers]
    found, places = np.unique(numbers, return_inverse=True)
    return found, places.reshape(numbers.shape)


def _packed(pixels: Pixels) -> Pixels:
    if pixels.shape[-1] not in (3, 4) or not np.issubdtype(pixels.dtype, np.integer):
        raise WrongLabelError("an image in colour is needed", f"{pixels.shape[-1]} channels")
    wide = pixels.astype(np.int64)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _number(value: float | str) -> int | float:
    return int(value[1:], 16) if isinstance(value, str) else value


def _shown(number: float, encoding: Encoding) -> str:
    return f"#{int(number):06x}" if encoding.coloured else f"{number:g}"


def _said(values: Sequence[object] | str) -> str:
    return values if isinstance(values, str) else ", ".join(map(str, values))
