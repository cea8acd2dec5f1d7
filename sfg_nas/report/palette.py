"""Colours of tasks and groups, told apart with any colour vision and in grey.

The colours are those of Okabe & Ito, Color Universal Design (2008).
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.colors import to_hex, to_rgb

TASK_COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#8c6d31",
)
"""One for each task; they start over after the seventh."""

ALL = "#59616b"
"""What all tasks share."""
INK = "#20252b"
FAINT = "#8a929b"
PAPER = "#fefefe"
"""What boxes without a colour are filled with, and lines between coloured areas; white to the eye.

`ALL`, `INK`, `FAINT` and `PAPER` occur nowhere else, so that a page can give them other values in the dark.
"""
ON_LIGHT = "#20252a"
"""Text on a light colour, whatever the page's own colours are."""


def task_colour(task: str, tasks: Sequence[str]) -> str:
    """Return the colour of one task."""
    return TASK_COLOURS[list(tasks).index(task) % len(TASK_COLOURS)]


def stripes(group: Sequence[str], tasks: Sequence[str]) -> list[str]:
    """Return the colours that fill a group's boxes: grey for all tasks, else one per task."""
    if len(group) == len(tasks) > 1:
        return [ALL]
    return [task_colour(task, tasks) for task in group]


def group_colour(group: Sequence[str], tasks: Sequence[str]) -> str:
    """Return the one colour of a group: the mean of its stripes."""
    parts = [to_rgb(colour) for colour in stripes(group, tasks)]
    red, green, blue = (sum(channel) / len(parts) for channel in zip(*parts, strict=True))
    return to_hex((red, green, blue))


def ink_on(colour: str) -> str:
    """Return white or dark for text on a colour, by its relative luminance (WCAG 2)."""
    if colour == PAPER:
        return INK
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "white" if luminance < 0.35 else ON_LIGHT


def group_name(group: Sequence[str], tasks: Sequence[str]) -> str:
    """Return a group's name for a reader."""
    if len(group) == len(tasks) > 1:
        return "all tasks" if len(tasks) > 2 else "both tasks"
    return " + ".join(group)
