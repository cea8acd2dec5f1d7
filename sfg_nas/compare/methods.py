"""The registry of methods: every system of the paper, the controls, and what each is for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from sfg_nas.compare import allocated, plain, relaxed
from sfg_nas.compare.entrant import Entrant, Setting
from sfg_nas.errors import ConfigError, explain


def _once(setting: Setting) -> Sequence[str]:
    del setting
    return ("",)


def _widths(setting: Setting) -> Sequence[str]:
    return [_written(width) for width in setting.section.widths]


def _written(number: float) -> str:
    return np.format_float_positional(number, trim="-")


def _nothing(text: str) -> None:
    del text


def _whole(text: str) -> str | None:
    return str(int(text)) if re.fullmatch(r"[0-9]+", text) else None


def _factor(text: str) -> str | None:
    sound = re.fullmatch(r"[0-9]*\.?[0-9]+", text) is not None and 0 < float(text) < math.inf
    return _written(float(text)) if sound else None


@dataclass(frozen=True)
class Kind:
    """An entry of the registry.

    Attributes:
        make: Makes an entrant from the comparison and an argument, which stands behind the name.
        arguments: Those of the entrants that the bare name stands for.
        searches: Whether a search must have found something first.
        takes: What may stand behind the name, in words; empty for nothing.
        reads: Returns such a text in its one form, as `01` and `1` are one method; None for any other.
    """

    make: Callable[[Setting, str], Entrant]
    arguments: Callable[[Setting], Sequence[str]] = _once
    searches: bool = False
    takes: str = ""
    reads: Callable[[str], str | None] = _nothing

    @property
    def what(self) -> str:
        """Return what it is, in a line."""
        return (self.make.__doc__ or "").strip().split("\n")[0].removeprefix("Return ")


METHODS: dict[str, Kind] = {
    "single-task": Kind(plain.single),
    "hard-sharing": Kind(plain.hard),
    "hard-sharing-scaled": Kind(
        plain.scaled, _widths, takes="a factor above 0 on the width", reads=_factor
    ),
    "constant-mask": Kind(allocated.constant_mask),
    "constant-p": Kind(relaxed.constant_p),
    "cross-stitch": Kind(plain.stitched),
    "nddr": Kind(plain.fused),
    "sfg-corrected": Kind(relaxed.corrected),
    "sfg-iccv2019": Kind(relaxed.published),
    "found": Kind(allocated.found, searches=True),
    "hard-sharing-at-found": Kind(allocated.hard_at_found, searches=True),
    "tree-split": Kind(
        allocated.branched,
        allocated.splits,
        takes="the number of layers that are shared, a whole one",
        reads=_whole,
    ),
    "all-separate": Kind(allocated.all_separate),
    "thirds": Kind(allocated.thirds),
    "random-allocation": Kind(allocated.random_allocation, searches=True),
    "shuffled-allocation": Kind(allocated.shuffled_allocation, searches=True),
}
"""Name to how its entrants are made. A name with an argument, such as `tree-split-3`, is one of several."""

ALWAYS = ("single-task", "hard-sharing")
"""What everything is measured against; they take part whether they are named or not."""
USUAL = (
    *ALWAYS,
    "constant-mask",
    "constant-p",
    "cross-stitch",
    "sfg-corrected",
    "sfg-iccv2019",
    "found",
    "hard-sharing-at-found",
)
"""What takes part if a study names nothing."""


def parse(name: str) -> tuple[str, str]:
    """Return the kind and the argument of a method's name.

    Args:
        name: Such as `found`, `tree-split` or `tree-split-3`.

    Raises:
        ConfigError: If there is no such method.
    """
    wrong = trouble(name)
    if wrong is not None:
        rule, do = wrong
        raise ConfigError(explain(where="compare.methods", rule=rule, found=f"`{name}`", do=do))
    if name in METHODS:
        return name, ""
    kind, _, argument = name.rpartition("-")
    return kind, METHODS[kind].reads(argument) or argument


def trouble(name: str) -> tuple[str, str] | None:
    """Return what must hold for a method's name and what to do, or None if there is such a method.

    Args:
        name: Such as `found`, `tree-split` or `tree-split-3`.
    """
    kind, _, argument = name.rpartition("-")
    if name in METHODS or (kind in METHODS and METHODS[kind].reads(argument) is not None):
        return None
    if kind in METHODS and METHODS[kind].takes:
        return f"behind `{kind}-` must stand {METHODS[kind].takes}", f"correct it, or give `{kind}`"
    close = get_close_matches(name, METHODS, n=1)
    do = f"did you mean `{close[0]}`?" if close else "see `sfg-nas list baselines`"
    return f"one of {', '.join(METHODS)} is needed", do


def chosen(names: Sequence[str] | None) -> list[str]:
    """Return the methods that take part: those named, or the usual ones, and what all are measured against.

    Args:
        names: Names, with or without arguments.

    Raises:
        ConfigError: If one does not exist.
    """
    for name in names or ():
        parse(name)
    return list(dict.fromkeys([*ALWAYS, *(USUAL if names is None else names)]))


def needs_search(names: Sequence[str]) -> bool:
    """Return whether one of the methods needs what a search found.

    Args:
        names: Names, with or without arguments.
    """
    return any(METHODS[parse(name)[0]].searches for name in names)


def expand(setting: Setting, names: Sequence[str]) -> list[str]:
    """Return the entrants that the names stand for, each once.

    Args:
        setting: The comparison.
        names: Names, with or without arguments.
    """
    found: dict[str, None] = {}
    for name in names:
        kind, argument = parse(name)
        arguments = [argument] if argument else METHODS[kind].arguments(setting)
        found |= dict.fromkeys(f"{kind}-{a}" if a else kind for a in arguments)
    return list(found)


def make(setting: Setting, name: str) -> Entrant:
    """Return the entrant of a name.

    Args:
        setting: The comparison.
        name: Out of `expand`.

    Raises:
        ConfigError: If it does not exist for this network.
    """
    kind, argument = parse(name)
    return METHODS[kind].make(setting, argument)
