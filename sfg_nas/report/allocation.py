"""Figures of an allocation: who owns the filters of each layer."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from sfg_nas.allocation import Allocation
from sfg_nas.report.canvas import Found, chosen_trial, members, plainly
from sfg_nas.report.palette import FAINT, INK, PAPER, group_colour, group_name, ink_on
from sfg_nas.report.words import counted

_LEAST_SHARE = 0.07  # a part of a bar at least so tall has its count written inside


def allocation_frame(found: Allocation | Found) -> pd.DataFrame:
    """Return one row per layer and group: `layer`, `depth`, `group`, `filters`, `share`.

    Args:
        found: An allocation, a trial, or a run, which stands for its best trial.

    Raises:
        TrainingError: If a run has no complete trial.
    """
    allocation = _allocation_of(found)
    names = allocation.groups.names
    return pd.DataFrame(
        [
            {
                "layer": layer,
                "depth": depth,
                "group": names[g],
                "filters": filters,
                "share": filters / max(1, sum(row)),
            }
            for depth, (layer, row) in enumerate(allocation.counts().items())
            for g, filters in enumerate(row)
        ]
    )


def _allocation_of(found: Allocation | Found) -> Allocation:
    return found if isinstance(found, Allocation) else chosen_trial(found).allocation


@plainly
def plot_allocation(found: Allocation | Found, *, title: str | None = None) -> Figure:
    """Return stacked bars: for each layer, which share of its filters each group owns.

    A layer is a bar, from the image on the left to the heads on the right; the number above it
    is its filters. Groups of some but not all tasks are hatched in the mean of their colours.

    Args:
        found: An allocation, a trial, or a run, which stands for its best trial.
        title: A first line; None for none.

    Raises:
        TrainingError: If a run has no complete trial.
    """
    allocation = _allocation_of(found)
    tasks = allocation.groups.tasks
    groups = members(allocation.groups)
    order = sorted(range(len(groups)), key=lambda g: _place(groups[g], tasks))
    counts = {name: [int(n) for n in row] for name, row in allocation.counts().items()}
    figure = Figure(figsize=(max(4.8, 1.6 + 0.42 * len(counts)), 3.6), dpi=150, facecolor="white")
    axes = figure.add_subplot()
    for x, row in enumerate(counts.values()):
        total, base = max(1, sum(row)), 0.0
        for g in order:
            share = row[g] / total
            colour = group_colour(groups[g], tasks)
            hatch = "///" if 1 < len(groups[g]) < len(tasks) else None
            axes.bar(x, share, 0.78, base, color=colour, hatch=hatch, edgecolor=PAPER, lw=0.6)
            if share >= _LEAST_SHARE:
                axes.text(
                    x, base + share / 2, str(row[g]), size=7, color=ink_on(colour), ha="center",
                    va="center_baseline", path_effects=[withStroke(linewidth=2.2, foreground=colour)],
                )  # fmt: skip
            base += share
        axes.text(x, 1.015, counted(total), size=7, color=FAINT, ha="center")
    axes.set_xticks(range(len(counts)), list(counts), rotation=90, fontsize=7, color=INK)
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"], fontsize=8, color=INK)
    axes.set_ylabel("share of the layer's filters", fontsize=8.5, color=INK)
    axes.set_xlim(-0.6, len(counts) - 0.4)
    axes.set_ylim(0, 1.08)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    if title:
        figure.suptitle(title, fontsize=11, fontweight="bold", color=INK, x=0.02, ha="left")
    _legend(figure, [groups[g] for g in reversed(order)], tasks)
    figure.set_layout_engine("constrained")
    return figure


def _place(group: tuple[str, ...], tasks: Sequence[str]) -> tuple[int, tuple[int, ...]]:
    """Return a key that puts what is shared by more tasks further down."""
    return -len(group), tuple(tasks.index(task) for task in group)


def _legend(figure: Figure, groups: Sequence[tuple[str, ...]], tasks: Sequence[str]) -> None:
    handles = [
        Patch(
            facecolor=group_colour(group, tasks),
            hatch="///" if 1 < len(group) < len(tasks) else None,
            edgecolor=PAPER,
            label=group_name(group, tasks),
        )
        for group in groups
    ]
    figure.legend(
        handles=handles,
        loc="outside upper right",
        ncols=min(4, len(handles)),
        frameon=False,
        fontsize=8,
        labelcolor=INK,
    )
