"""What all figures share: which trial they show, panels in a grid, plain text, quiet axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sfg_nas.groups import Groups
from sfg_nas.report.palette import FAINT, INK
from sfg_nas.report.words import short
from sfg_nas.study import Run, Trial
from sfg_nas.study.recorder import read_probabilities

Found = Run | Trial
"""What a figure shows: a trial, or a run, which stands for its best trial."""

Inputs = ParamSpec("Inputs")


def chosen_trial(found: Found) -> Trial:
    """Return the trial that a figure shows: itself, or a run's best.

    Args:
        found: A run or a complete trial.

    Raises:
        TrainingError: If the run has no complete trial.
    """
    return found.best if isinstance(found, Run) else found


def probabilities_of(trial: Trial) -> dict[str, NDArray[np.float32]]:
    """Return p of each layer over the epochs, `[E + 1, F, G]`; the first is the start.

    Args:
        trial: A complete trial.
    """
    return read_probabilities(trial.files.probabilities)


def members(groups: Groups) -> list[tuple[str, ...]]:
    """Return the tasks of each group, in the order of the groups and of the tasks.

    Args:
        groups: Of an allocation.
    """
    return [tuple(t for i, t in enumerate(groups.tasks) if i in s) for s in groups.sets]


@contextmanager
def plain_text() -> Iterator[None]:
    """Let names stand for themselves: a `$` in a task's name begins no formula."""
    with mpl.rc_context({"text.parse_math": False, "axes.unicode_minus": False}):
        yield


def plainly(draw: Callable[Inputs, Figure]) -> Callable[Inputs, Figure]:
    """Return a figure function whose texts are all taken literally.

    Args:
        draw: Makes a figure.
    """

    @wraps(draw)
    def drawing(*args: Inputs.args, **kwargs: Inputs.kwargs) -> Figure:
        with plain_text():
            return draw(*args, **kwargs)

    return drawing


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure.

    Args:
        width: In inches.
        height: In inches.
    """
    return Figure(figsize=(width, height), dpi=150, facecolor="white", layout="constrained")


def panels(
    figure: Figure, count: int, *, columns: int, projection: str | None = None
) -> list[Axes]:
    """Return axes in reading order, in rows of at most so many.

    Args:
        figure: Where they are made.
        count: How many, at least 1.
        columns: In a row.
        projection: Of the axes, or None for plain ones.
    """
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    return [figure.add_subplot(rows, columns, i + 1, projection=projection) for i in range(count)]


def quiet(axes: Axes, *, grid: bool = True) -> None:
    """Take away what carries no information.

    Args:
        axes: Plain axes.
        grid: Whether faint horizontal lines help to read values off.
    """
    axes.spines[["top", "right"]].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=7.5, length=2.5, color=FAINT)
    if grid:
        axes.grid(axis="y", color=FAINT, alpha=0.25, lw=0.6)
        axes.set_axisbelow(True)


def layer_ticks(axes: Axes, layers: Sequence[str]) -> None:
    """Write the layers below an axis of depth, the first at 0.

    Args:
        axes: Plain axes.
        layers: Names in order of depth.
    """
    axes.set_xticks(range(len(layers)), [short(name, 24) for name in layers], rotation=90)
    axes.set_xlim(-0.5, len(layers) - 0.5)
    axes.tick_params(axis="x", labelsize=7)


def heading(figure: Figure, text: str) -> None:
    """Write a figure's title, at its left.

    Args:
        figure: The figure.
        text: One line.
    """
    figure.suptitle(text, fontsize=10.5, fontweight="bold", color=INK, x=0.012, ha="left")


def spread(layers: Sequence[str], most: int) -> list[str]:
    """Return at most so many layers, evenly spaced from the first to the last.

    Args:
        layers: Names in order of depth.
        most: At least 2.
    """
    if len(layers) <= most:
        return list(layers)
    places = np.unique(np.linspace(0, len(layers) - 1, most).round().astype(int))
    return [layers[i] for i in places]


def depth_of(layers: Sequence[str]) -> pd.Series:
    """Return each layer's depth, from 0.

    Args:
        layers: Names in order of depth.
    """
    return pd.Series(range(len(layers)), index=list(layers), name="depth")
