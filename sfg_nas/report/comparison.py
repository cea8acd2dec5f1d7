"""The accuracy-against-MACs picture of a comparison: every network a point, every method its mean."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sfg_nas.report.palette import FAINT, INK
from sfg_nas.tasks import Task

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#000000")
_MARKS = "os^Dv<>Pp*"
FRONT_COLUMNS = ("method", "scale", "seed", "macs")
"""What `plot_comparison` needs beside `test/<metric>`."""


def plot_comparison(networks: pd.DataFrame, tasks: Sequence[Task]) -> Figure:
    """Return one panel for Δ, where it is there, and one for each task's metric, against the MACs of one image.

    Small points are networks of one seed, large ones the means of a method at one cost. A line joins the means of hard
    sharing at its widths, which is what others must lie above (or below, where less is better).

    Args:
        networks: One row per network: `FRONT_COLUMNS` and `test/<metric>`.
        tasks: The tasks.
    """
    metrics = [(task.key, _label(task)) for task in tasks]
    if "test/delta" in networks.columns:
        metrics.insert(0, ("delta", "Δ against single-task [%]"))
    methods = list(dict.fromkeys(networks["method"]))
    figure = Figure(figsize=(4.4 * len(metrics), 4.6), dpi=150, facecolor="white")
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, (metric, label) in zip(panels, metrics, strict=True):
        _panel(axes, networks, metric, methods)
        axes.set_ylabel(label, fontsize=8.5, color=INK)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(4, len(handles)),
        frameon=False,
        fontsize=7.5,
        labelcolor=INK,
    )
    figure.set_layout_engine("constrained")
    return figure


def _label(task: Task) -> str:
    unit = f" [{task.metric_unit}]" if task.metric_unit else ""
    return f"{task.name}: {task.metric}{unit}"


def _panel(axes: Axes, networks: pd.DataFrame, metric: str, methods: Sequence[str]) -> None:
    column, factor = f"test/{metric}", 100.0 if metric == "delta" else 1.0
    hard = networks["method"].str.startswith("hard-sharing")
    means = networks[hard].groupby(["method", "scale"])[["macs", column]].mean()
    line = means.sort_values("macs")
    axes.plot(line["macs"], factor * line[column], color=FAINT, lw=1.0, zorder=1)
    for number, method in enumerate(methods):
        rows = networks[networks["method"] == method]
        colour, mark = _COLOURS[number % len(_COLOURS)], _MARKS[number % len(_MARKS)]
        points = factor * rows[column]
        axes.scatter(rows["macs"], points, s=9, color=colour, alpha=0.45, lw=0, marker=mark)
        own = rows.groupby("scale")[["macs", column]].mean()
        axes.scatter(
            own["macs"], factor * own[column], s=42, color=colour, marker=mark, lw=0.6,
            edgecolor="white", label=method, zorder=3,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("MACs per image", fontsize=8.5, color=INK)
    axes.tick_params(labelsize=7.5, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=FAINT, alpha=0.25, lw=0.5)
