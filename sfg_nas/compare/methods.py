"""The registry of methods: every system of the paper, the controls, and what each is for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from sfg_nas.compare import allocated, plain, relaxed
from sfg_nas.compare.entrant import Entrant, Setting
from sfg_nas.errors import ConfigError, explain


def _once(setting: Setting) -> Sequence[str]:
    del setting
    return ("",)


def _widths(setting: Setting) -> Sequence[str]:
    return [f"{width:g}" for width in setting.section.widths]


@dataclass(frozen=True)
class Kind:
    """An entry of the registry.

    Attributes:
        make: Makes an entrant from the comparison and an argument, which stands behind the name.
        arguments: Those of the entrants that the bare name stands for.
        searches: Whether a search must have found something first.
    """

    make: Callable[[Setting, str], Entrant]
    arguments: Callable[[Setting], Sequence[str]] = _once
    searches: bool = False

    @property
    def what(self) -> str:
        """Return what it is, in a line."""
        return (self.make.__doc__ or "").strip().split("\n")[0].removeprefix("Return ")


METHODS: dict[str, Kind] = {
    "single-task": Kind(plain.single),
    "hard-sharing": Kind(plain.hard),
    "hard-sharing-scaled": Kind(plain.scaled, _widths),
    "constant-mask": Kind(allocated.constant_mask),
    "constant-p": Kind(relaxed.constant_p),
    "cross-stitch": Kind(plain.stitched),
    "nddr": Kind(plain.fused),
    "sfg-corrected": Kind(relaxed.corrected),
    "sfg-iccv2019": Kind(relaxed.published),
    "found": Kind(allocated.found, searches=True),
    "hard-sharing-at-found": Kind(allocated.hard_at_found, searches=True),
    "tree-split": Kind(allocated.branched, allocated.splits),
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
    if name in METHODS:
        return name, ""
    kind, dash, argument = name.rpartition("-")
    if dash and kind in METHODS and METHODS[kind].arguments is not _once and _number(argument):
        return kind, argument
    close = get_close_matches(name, METHODS, n=1)
    do = f"did you mean `{close[0]}`?" if close else "see `sfg-nas list baselines`"
    rule = f"one of {', '.join(METHODS)} is needed"
    raise ConfigError(explain(where="compare.methods", rule=rule, found=f"`{name}`", do=do))


def _number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


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
