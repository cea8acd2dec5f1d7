"""Where p lies in the triangle between two tasks' own filters and shared ones: densities and paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import mpltern  # noqa: F401 (registers the projection "ternary")
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sfg_nas.groups import Groups
from sfg_nas.report.canvas import (
    Found,
    chosen_trial,
    heading,
    new_figure,
    panels,
    plainly,
    probabilities_of,
    spread,
)
from sfg_nas.report.palette import FAINT, INK, group_colour, task_colour
from sfg_nas.report.words import short

MOST_COLUMNS = 6
"""Layers beside each other; with more than one pair of tasks, the layers shown by default."""
MOST_PATHS = 64
"""Filters of a layer whose paths are drawn."""

_DENSITY = LinearSegmentedColormap.from_list("density", ["#9cc3e6", "#0072b2", "#d55e00"])
BANDWIDTH = 0.035
"""Of the Gaussian that stands for each filter, in lengths of the triangle's sides."""
_CELLS = 24  # small triangles along a side
_FAINTEST = 0.04  # of the greatest density; below it nothing is drawn

Triangle = NDArray[np.float64]
"""Points `[..., 3]`: the first task alone, the second alone, both; they sum to one."""


def triangle(p: NDArray[np.floating], groups: Groups, first: int, second: int) -> Triangle:
    """Return what p says of two tasks, `[..., 3]`: only the first, only the second, both.

    With two tasks this is p itself. With more, a group counts by which of the two it holds: the
    three are probabilities given that the filter serves at least one of the two. Where it more
    probably serves neither they would say nothing, and are NaN.

    Args:
        p: Probabilities `[..., G]`.
        groups: The G groups.
        first: Index of a task.
        second: Index of another.
    """
    kinds = [(first in g, second in g) for g in groups.sets]
    wanted = [(True, False), (False, True), (True, True)]
    parts = [p[..., [k == want for k in kinds]].sum(-1, dtype=np.float64) for want in wanted]
    stacked = np.stack(parts, axis=-1)
    total = stacked.sum(-1, keepdims=True)
    nowhere = np.full_like(stacked, np.nan)
    shares: Triangle = np.divide(stacked, total, out=nowhere, where=total >= 0.5)
    return shares


def ternary_frame(found: Found) -> pd.DataFrame:
    """Return one row per pair of tasks, layer, filter and epoch.

    Args:
        found: A trial, or a run, which stands for its best trial.

    Returns:
        `first`, `second` (the tasks), `layer`, `filter`, `epoch` (0 is the start), and the
        probabilities `only_first`, `only_second` and `both` of `triangle`.

    Raises:
        TrainingError: If a run has no complete trial.
    """
    trial = chosen_trial(found)
    groups = trial.allocation.groups
    frames = []
    for first, second in pairs(groups.tasks):
        for layer, course in probabilities_of(trial).items():
            points = triangle(course, groups, first, second)
            epochs, filters = np.indices(points.shape[:2])
            frames.append(
                pd.DataFrame(
                    {
                        "first": groups.tasks[first],
                        "second": groups.tasks[second],
                        "layer": layer,
                        "filter": filters.ravel(),
                        "epoch": epochs.ravel(),
                        "only_first": points[..., 0].ravel(),
                        "only_second": points[..., 1].ravel(),
                        "both": points[..., 2].ravel(),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def pairs(tasks: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs of tasks by index; none for a single task.

    Args:
        tasks: Names.
    """
    return list(combinations(range(len(tasks)), 2))


@plainly
def plot_ternary(found: Found, *, layers: Sequence[str] | None = None, epoch: int = -1) -> Figure:
    """Return the density of p in the triangle, per layer; for more than two tasks, a row per pair.

    Each filter is a point: in a lower corner it serves one task alone, at the top both. The colour
    is the density of filters (a Gaussian kernel), from low (light blue) to a layer's highest (orange).

    Args:
        found: A trial, or a run, which stands for its best trial.
        layers: Which layers; None for all with two tasks, and for at most six with more.
        epoch: Of the search; 0 is the start, -1 the end.

    Raises:
        TrainingError: If a run has no complete trial.
    """
    trial = chosen_trial(found)
    figure, cells = _grid(trial.allocation.groups, list(probabilities_of(trial)), layers)
    course = probabilities_of(trial)
    for axes, layer, (first, second) in cells:
        points = triangle(course[layer][epoch], trial.allocation.groups, first, second)
        points = points[np.isfinite(points).all(-1)]
        if len(points):
            _density(axes, points)
    heading(figure, "Where the filters' probabilities lie")
    return figure


@plainly
def plot_paths(found: Found, *, layers: Sequence[str] | None = None) -> Figure:
    """Return the way of each filter's p through the triangle during the search, ending in a dot.

    Args:
        found: A trial, or a run, which stands for its best trial.
        layers: Which layers; None for all with two tasks, and for at most six with more.

    Raises:
        TrainingError: If a run has no complete trial.
    """
    trial = chosen_trial(found)
    groups = trial.allocation.groups
    course = probabilities_of(trial)
    figure, cells = _grid(groups, list(course), layers)
    for axes, layer, pair in cells:
        ways = triangle(course[layer], groups, *pair)
        ways = ways[:, np.isfinite(ways).all((0, 2))]
        step = max(1, -(-ways.shape[1] // MOST_PATHS))
        ways = ways[:, ::step]
        if not ways.shape[1]:
            continue
        colours = [_colour(end, groups, pair) for end in ways[-1]]
        flat = axes.transProjection.transform(ways[..., [2, 0, 1]].reshape(-1, 3))  # type: ignore[attr-defined]
        lines = flat.reshape(*ways.shape[:2], 2).swapaxes(0, 1)
        axes.add_collection(LineCollection(lines, colors=colours, lw=0.7, alpha=0.55))
        x, y = lines[:, -1].T
        axes.scatter(x, y, c=colours, s=5, lw=0, zorder=3, transform=axes.transData)
    heading(figure, "The filters' probabilities during the search")
    return figure


def _density(axes: Axes, points: Triangle) -> None:
    """Colour the cells of a triangle by the density of points, relative to the densest cell."""
    corners = _cells()
    apart = np.square(corners.mean(1)[:, None] - points[None]).sum(-1) / 2
    density = np.exp(-apart / (2 * BANDWIDTH**2)).sum(1)
    density /= density.max()
    seen = density > _FAINTEST
    outlines = axes.transProjection.transform(corners[seen][..., [2, 0, 1]].reshape(-1, 3))  # type: ignore[attr-defined]
    colours = _DENSITY((density[seen] - _FAINTEST) / (1 - _FAINTEST))
    cells = PolyCollection(
        outlines.reshape(-1, 3, 2), facecolors=colours, edgecolors="face", lw=0.4
    )
    cells.set_clip_path(axes.patch)
    axes.add_collection(cells)


def _cells() -> NDArray[np.float64]:
    """Return the corners `[cell, corner, 3]` of the small triangles that make up the large one."""
    found = []
    for i in range(_CELLS):
        for j in range(_CELLS - i):
            k = _CELLS - 1 - i - j
            found.append(np.array([i, j, k]) + np.eye(3))
            if k > 0:  # one upside down shares the right side of each but the last in a row
                found.append(np.array([i, j, k - 1]) + 1 - np.eye(3))
    return np.stack(found) / _CELLS


def _colour(point: Triangle, groups: Groups, pair: tuple[int, int]) -> str:
    corner = int(point.argmax())
    tasks = groups.tasks
    if corner < 2:
        return task_colour(tasks[pair[corner]], tasks)
    return group_colour([tasks[i] for i in pair], tasks)


def _grid(
    groups: Groups, every: Sequence[str], layers: Sequence[str] | None
) -> tuple[Figure, Iterator[tuple[Axes, str, tuple[int, int]]]]:
    """Return a figure of triangles, and for each its layer and its pair of tasks."""
    couples = pairs(groups.tasks)
    single = len(couples) < 2
    shown = list(layers or (every if single else spread(every, MOST_COLUMNS)))
    columns = min(MOST_COLUMNS, len(shown))
    cells = [(layer, pair) for pair in couples for layer in shown]
    rows = -(-max(1, len(cells)) // columns)
    figure = new_figure(0.3 + 1.55 * columns, 0.5 + 1.62 * rows)
    if not cells:
        figure.text(0.5, 0.4, "one task: nothing is shared", ha="center", color=INK)
        return figure, iter(())
    made = panels(figure, len(cells), columns=columns, projection="ternary")
    for axes, (layer, pair) in zip(made, cells, strict=True):
        _frame(axes, layer, pair, groups.tasks)
    return figure, ((a, layer, pair) for a, (layer, pair) in zip(made, cells, strict=True))


def _frame(axes: Axes, layer: str, pair: tuple[int, int], tasks: Sequence[str]) -> None:
    """Name the corners of a triangle and take its ticks away."""
    for axis in (axes.taxis, axes.laxis, axes.raxis):  # type: ignore[attr-defined]
        axis.set_ticks([])
    for spine in axes.spines.values():
        spine.set_color(FAINT)
        spine.set_linewidth(0.8)
    axes.patch.set_visible(False)
    names = [short(tasks[i], 10) for i in pair]
    colours = [task_colour(tasks[i], tasks) for i in pair]
    both = group_colour([tasks[i] for i in pair], tasks)
    axes.set_title(short(layer, 20), fontsize=7.5, color=INK, pad=9)
    axes.text(0.5, 1.02, "both", size=6.5, color=both, ha="center", transform=axes.transAxes)
    for x, name, colour in zip((0.0, 1.0), names, colours, strict=True):
        axes.text(
            x, -0.04, name, color=colour, ha="center", va="top", size=6.5, transform=axes.transAxes
        )
