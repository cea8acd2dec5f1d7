"""The accuracy-against-MACs picture of a comparison: every network a point, every method its mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from sfg_nas.errors import TrainingError, explain
from sfg_nas.report.canvas import new_figure, panels, plainly
from sfg_nas.report.palette import FAINT, INK
from sfg_nas.study import Run
from sfg_nas.study.stored import read_table
from sfg_nas.tasks import Task

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#000000")
_MARKS = "os^Dv<>Pp*"
FRONT_COLUMNS = ("method", "scale", "seed", "macs")
"""What `plot_comparison` needs beside `test/<metric>`."""
TABLE, PAIRED = "compare.csv", "compare_paired.csv"
DELTA = "Δ against single-task [%]"


@plainly
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
        metrics.insert(0, ("delta", DELTA))
    return _drawn(networks, metrics)


def compared_frame(run: Run) -> pd.DataFrame:
    """Return one row per network of a run's comparison, with its costs and `test/<metric>`; empty if there was none.

    Args:
        run: A run.

    Raises:
        ArchitectureError: If its `compare.csv` is damaged.
        TrainingError: If a network stands in it twice.
    """
    path = run.path / TABLE
    if not path.is_file():
        return pd.DataFrame(columns=[*FRONT_COLUMNS])
    what, texts = "the table of a comparison", ("method", "scale", "metric")
    long = read_table(path, what=what, texts=texts, numbers=["test"], counts=["seed", "macs"])
    try:
        wide = long.pivot(index=["method", "scale", "seed"], columns="metric", values="test")
        costs = long.groupby(["method", "scale", "seed"])[["macs"]].first()
    except ValueError as error:
        rule, do = "the table that `sfg-nas compare` writes is needed", "call it again"
        found = f"{type(error).__name__}: {error}"
        raise TrainingError(explain(where=str(path), rule=rule, found=found, do=do)) from error
    return costs.join(wide.add_prefix("test/")).reset_index()


@plainly
def plot_compared(run: Run) -> Figure:
    """Return `plot_comparison` of what `sfg-nas compare` stored in a run: Δ and the metric of each task.

    Args:
        run: A run with a comparison.

    Raises:
        ArchitectureError: If its tables are damaged.
        TrainingError: If there is none.
    """
    networks = compared_frame(run)
    if networks.empty:
        rule, do = "a comparison is needed", f"sfg-nas compare {run.name}"
        raise TrainingError(explain(where=str(run.path), rule=rule, found=f"no {TABLE}", do=do))
    columns = map(str, networks.columns)
    stored = [name.removeprefix("test/") for name in columns if name.startswith("test/")]
    asked: list[str] = []
    if (run.path / PAIRED).is_file():
        paired = read_table(run.path / PAIRED, what="paired differences", texts=["metric"])
        asked = list(dict.fromkeys(paired["metric"]))
    metrics = [name for name in asked if name in stored] or stored
    labels = {name: DELTA if name == "delta" else name.replace("/", ": ") for name in metrics}
    return _drawn(networks, list(labels.items()))


def _drawn(networks: pd.DataFrame, metrics: Sequence[tuple[str, str]]) -> Figure:
    methods = list(dict.fromkeys(networks["method"]))
    columns = min(len(metrics), 2)
    rows = math.ceil(len(metrics) / columns)
    figure = new_figure(4.4 * columns, 3.6 * rows + 0.9)
    drawn = panels(figure, len(metrics), columns=columns)
    for axes, (metric, label) in zip(drawn, metrics, strict=True):
        _panel(axes, networks, metric, methods)
        axes.set_ylabel(label, fontsize=8.5, color=INK)
    handles, labels = drawn[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(2 * columns, len(handles)),
        frameon=False,
        fontsize=7.5,
        labelcolor=INK,
    )
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
    if not networks[column].notna().any():  # a logarithmic axis needs its ends from something
        axes.set_xlim(0.9 * networks["macs"].min(), 1.1 * networks["macs"].max())
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color=INK)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("MACs per image", fontsize=8.5, color=INK)
    axes.tick_params(labelsize=7.5, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=FAINT, alpha=0.25, lw=0.5)
