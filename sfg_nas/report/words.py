"""Short words for a picture or a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sfg_nas.report.sketch import Sketch

LONGEST_NAME = 22
NOT_KNOWN = "not known"


def counted(number: int) -> str:
    """Return a count with a thousands prefix and three digits: `1.23 M`.

    Example:
        >>> counted(1_234_567)
        '1.23 M'
    """
    for power, prefix in ((4, "T"), (3, "G"), (2, "M"), (1, "k")):
        value = number / 1000**power
        if value >= 0.9995:
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f} {prefix}"
    return str(number)


def signed(value: float, digits: int) -> str:
    """Return a difference with its sign and so many decimals; zero has none, and what is not finite is `not known`.

    Example:
        >>> signed(0.5, 2), signed(-0.004, 2)
        ('+0.50', '0.00')
    """
    if not math.isfinite(value):
        return NOT_KNOWN
    text = f"{round(value, digits):+.{digits}f}"
    return _zero_without_sign(text)


def significant(value: float) -> str:
    """Return a difference with its sign and four digits; zero has none, and what is not finite is `not known`.

    Example:
        >>> significant(12345.0), significant(-0.0)
        ('+1.234e+04', '0')
    """
    return _zero_without_sign(f"{value:+.4g}") if math.isfinite(value) else NOT_KNOWN


def _zero_without_sign(text: str) -> str:
    """Return a number's text with a true minus, and without a sign if all its digits are zero."""
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def short(text: str, letters: int) -> str:
    """Return a text of at most so many letters, with `…` for what is cut off its end."""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def layer_names(drawn: Sketch) -> dict[str, str]:
    """Return a short name of each filter bank's layer: its module path without `backbone.`."""
    names = {}
    for name, block in drawn.blocks.items():
        if block.kind == "filters":
            text = block.layer.removeprefix("backbone.")
            names[name] = text if len(text) <= LONGEST_NAME else "…" + text[-(LONGEST_NAME - 1) :]
    return names


def together(names: Sequence[str]) -> str:
    """Return one text for the layers of a column: `heads.*` for `heads.age` and `heads.sex`.

    Args:
        names: At least one name.
    """
    different = list(dict.fromkeys(names))
    if len(different) == 1:
        return different[0]
    common: list[str] = []
    for parts in zip(*(name.split(".") for name in different), strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    if common:
        return ".".join([*common, "*"])
    return "\n".join(different[:2]) + (" …" if different[2:] else "")
