"""Checks of options that come from a study file or a caller."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from operator import index
from typing import SupportsIndex, get_args, get_origin

from sfg_nas.errors import ConfigError, explain


def check_integer(where: str, value: object, low: int) -> int:
    """Return `value` if it is an integer of at least `low`, of Python, NumPy or another library.

    Raises:
        ConfigError: If it is not.
    """
    number = _integer(value)
    if number is None or number < low:
        raise ConfigError(
            explain(
                where=where,
                rule=f"an integer of at least {low} is needed",
                found=repr(value),
                do="change the value",
            )
        )
    return number


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    try:
        return index(value)
    except TypeError:  # an array of numbers, or of a fraction
        return None


def image_size(where: str, value: int | Sequence[int], low: int = 8) -> tuple[int, int]:
    """Return height and width of a size that is a side, or both of them.

    Args:
        where: For the message.
        value: A side in pixels, or height and width.
        low: The least of a side.

    Raises:
        ConfigError: If it is neither.
    """
    sides = tuple(value) if isinstance(value, Iterable) else (value, value)
    if len(sides) != 2:
        raise ConfigError(
            explain(
                where=where,
                rule=f"a side in pixels, or [height, width], each at least {low}, is needed",
                found=repr(value),
                do="change the value",
            )
        )
    return check_integer(where, sides[0], low), check_integer(where, sides[1], low)


def check_share(where: str, value: object, *, whole: bool) -> float:
    """Return `value` if it is a share of a whole: above 0 and below 1, or 1 itself if `whole`.

    Raises:
        ConfigError: If it is not.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not (0 < float(value) < 1 or (whole and value == 1)):  # type: ignore[arg-type]
        raise ConfigError(
            explain(
                where=where,
                rule="a number above 0 and " + ("at most 1" if whole else "below 1") + " is needed",
                found=repr(value),
                do="change the value",
            )
        )
    return float(value)  # type: ignore[arg-type]


def check_text(where: str, value: object, hint: object) -> object:
    """Return `value` if it is a text or a mapping where an annotation asks for one; numbers and lists are checked elsewhere.

    Args:
        where: For the message.
        value: As a stranger wrote it.
        hint: The annotation, such as `str | None`.

    Raises:
        ConfigError: If it is something else.
    """
    asked = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
    texts = all(kind is str for kind in asked)
    maps = all(get_origin(kind) is Mapping for kind in asked)
    if value is None or not (texts or maps) or isinstance(value, str if texts else Mapping):
        return value
    rule = "text is needed" if texts else "a mapping is needed"
    raise ConfigError(explain(where=where, rule=rule, found=repr(value), do="change the value"))


def check_name(where: str, name: str, known: Iterable[str]) -> str:
    """Return `name` if it is one of `known`.

    Raises:
        ConfigError: If it is not; the message lists the known names and the closest one.
    """
    names = sorted(known)
    if name in names:
        return name
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "use one of these names"
    raise ConfigError(
        explain(where=where, rule=f"one of {', '.join(names)} is needed", found=repr(name), do=hint)
    )
