"""Values of a study file that are more than a number or a text: their types, and how they are checked."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

Share = Annotated[float, Field(gt=0, le=1)]
Part = Annotated[float, Field(ge=0, le=1)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]
_MOST_PIXELS = 8192
"""Of a side: an image of more does not fit into memory with its activations, and such a number is a slip."""
_Side = Annotated[int, Field(gt=0, le=_MOST_PIXELS)]
WEIGHTINGS = ("equal", "uncertainty")
UNSCALED = "gradients are aggregated as they are, without the scaling of 16-mixed"
"""The rule where torchjd aggregates."""


def broken_rule(key: str, rule: str, found: str, do: str) -> PydanticCustomError:
    """Return the error of a rule between several keys of one section.

    Args:
        key: The key, relative to the section, that the message points at.
        rule: What must hold.
        found: What was found instead.
        do: What to do about it.
    """
    return PydanticCustomError(
        "rule", "{rule}", {"key": key, "rule": rule, "found": found, "do": do}
    )


def _groups(value: object) -> object:
    """Return `specialists`, `lattice`, or a tuple of tuples of task names and `all`."""
    if isinstance(value, str) and value in {"specialists", "lattice"}:
        return value
    if isinstance(value, (list, tuple)) and value:
        rows = [row if isinstance(row, str) else tuple(row) for row in value if _is_group(row)]
        if len(rows) == len(value):
            return tuple(rows)
    raise broken_rule(
        "",
        "`specialists`, `lattice` or a list such as [[age], [gender, race], all] must stand here",
        repr(value),
        "write one of the three",
    )


def _is_group(row: object) -> bool:
    if isinstance(row, str):
        return row == "all"
    return isinstance(row, (list, tuple)) and bool(row) and all(isinstance(t, str) for t in row)


def _size(value: object) -> object:
    """Return None, a side, or height and width as a tuple."""
    if value is None or _is_side(value):
        return value
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_side, value)):
        return tuple(value)
    raise broken_rule(
        "",
        f"a whole number of pixels, or [height, width], is needed, at most {_MOST_PIXELS:,} a side",
        repr(value),
        "write for example 64, or [48, 64]",
    )


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST_PIXELS


def _precision(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _weighting(value: str) -> str:
    if value in WEIGHTINGS or (value.startswith("torchjd:") and value != "torchjd:"):
        return value
    close = get_close_matches(value, [*WEIGHTINGS, "torchjd:UPGrad"], n=1)
    raise broken_rule(
        "",
        "`equal`, `uncertainty` or `torchjd:NAME` is needed",
        repr(value),
        f"did you mean `{close[0]}`?" if close else "write one of them",
    )


GroupSpec = Annotated[str | tuple[str | tuple[str, ...], ...], BeforeValidator(_groups)]
Precision = Annotated[Literal["32", "64", "16-mixed", "bf16-mixed"], BeforeValidator(_precision)]
Size = Annotated[_Side | tuple[_Side, _Side] | None, BeforeValidator(_size)]
Weighting = Annotated[str, AfterValidator(_weighting)]
