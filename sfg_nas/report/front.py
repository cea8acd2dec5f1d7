"""Accuracy against cost: every trial, every retrained network, and the Pareto fronts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sfg_nas.report.canvas import heading, new_figure, panels, plainly, quiet
from sfg_nas.report.palette import ALL, FAINT, INK, TASK_COLOURS
from sfg_nas.report.table import is_error, metric_columns, metric_title
from sfg_nas.report.words import short
from sfg_nas.study import Run
from sfg_nas.study.stored import read_table

COLUMNS = 3
_MARKERS = "osD^vP*X<>hp"
_VALUES = ["kind", "name", "part", "metric", "macs", "relative_macs", "value", "sd", "pareto"]


def front_frame(run: Run) -> pd.DataFrame:
    """Return one row per complete trial (Δ), and one per retrained method and metric.

    Args:
        run: A run.

    Returns:
        `kind` (`trial` or `retrained`), `name` (the trial's number, the method), `part`
        (`validation` or `test`), `metric`, `macs`, `relative_macs` (to hard sharing, NaN where
        that is not known), `value`, `sd` (over seeds, else NaN) and `pareto` (whether none in its
        kind and metric is better at no more MACs).
    """
    rows: list[dict[str, object]] = [
        {
            "kind": "trial",
            "name": str(trial.number),
            "part": "validation",
            "metric": "delta",
            "macs": trial.ledger.macs,
            "relative_macs": trial.ledger.relative_macs,
            "value": trial.delta,
            "sd": np.nan,
        }
        for trial in run.complete
    ]
    rows += _retrained_rows(retrained_table(run))
    frame = pd.DataFrame(rows, columns=_VALUES[:-1])
    frame["pareto"] = False
    for (_, metric), part in frame.groupby(["kind", "metric"], sort=False):
        sign = -1.0 if is_error(str(metric)) else 1.0
        best = pareto(part["macs"].tolist(), (sign * part["value"]).tolist())
        frame.loc[part.index, "pareto"] = best
    return frame


def retrained_table(run: Run) -> pd.DataFrame:
    """Return the table of the last retraining, indexed by method; empty if there was none.

    Args:
        run: A run.
    """
    path = run.files.retrained / "table.csv"
    if not path.exists():
        return pd.DataFrame()
    counts, what = ("seeds", "params", "macs"), "the table of a retraining"
    first = read_table(path, what=what, texts=["method"], counts=counts)
    metrics = metric_columns(first)
    own = [*metrics, *(f"{name} sd" for name in metrics)]
    own += ["relative_macs"] if "relative_macs" in first else []
    table = read_table(path, what=what, texts=["method"], counts=counts, numbers=own)
    return table[["method", *counts, *own]].drop_duplicates("method").set_index("method")


def _retrained_rows(table: pd.DataFrame) -> list[dict[str, object]]:
    return [
        {
            "kind": "retrained",
            "name": str(method),
            "part": "test",
            "metric": metric,
            "macs": record["macs"],
            "relative_macs": record.get("relative_macs", np.nan),
            "value": record[metric],
            "sd": record[f"{metric} sd"],
        }
        for metric in metric_columns(table)
        for method, record in table.to_dict("index").items()
        if np.isfinite(record[metric])
    ]


def pareto(costs: Sequence[float], values: Sequence[float]) -> list[bool]:
    """Return for each point whether no other is at least as good in both and better in one.

    Args:
        costs: Less is better.
        values: More is better.
    """
    points = list(zip(costs, values, strict=True))
    return [
        not any(c <= cost and v >= value and (c, v) != (cost, value) for c, v in points)
        for cost, value in points
    ]


@plainly
def plot_front(run: Run) -> Figure:
    """Return accuracy against MACs: trials on validation, and retrained networks on test per metric.

    Up is always better. The line is the Pareto front.

    Args:
        run: A run with a complete trial.

    Raises:
        TrainingError: If no trial is complete.
    """
    best = run.best
    frame = front_frame(run)
    retrained = frame[frame["kind"] == "retrained"]
    metrics = list(dict.fromkeys(retrained["metric"]))
    rows = -(-(1 + len(metrics)) // COLUMNS)
    columns = min(COLUMNS, 1 + len(metrics))
    figure = new_figure(0.4 + max(5.0, 3.0 * columns), 0.9 + 2.6 * rows)
    made = panels(figure, 1 + len(metrics), columns=COLUMNS)
    _draw_trials(made[0], frame[frame["kind"] == "trial"], str(best.number))
    styles = {name: place for place, name in enumerate(dict.fromkeys(retrained["name"]))}
    for axes, metric in zip(made[1:], metrics, strict=True):
        _draw_methods(axes, retrained[retrained["metric"] == metric], metric, styles)
    if metrics:
        handles, labels = made[1].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=min(3, len(labels)), frameon=False,
            fontsize=8, labelcolor=INK,
        )  # fmt: skip
    heading(figure, "Accuracy against cost")
    return figure


def _cost(part: pd.DataFrame) -> tuple[pd.Series, str]:
    """Return the costs to draw: relative to hard sharing where that is known for all."""
    if part["relative_macs"].notna().all():
        return part["relative_macs"], "MACs, of hard sharing's"
    return part["macs"], "MACs"


def _draw_trials(axes: Axes, part: pd.DataFrame, best: str) -> None:
    cost, label = _cost(part)
    axes.scatter(cost, 100 * part["value"], s=20, color=TASK_COLOURS[0], alpha=0.75, lw=0, zorder=3)
    _front(axes, part, cost, 100.0)
    for row in part.assign(cost=cost).to_dict("records"):
        if row["name"] == best or (row["pareto"] and len(part) <= 40):
            axes.annotate(
                f"trial {row['name']}" + (", best" if row["name"] == best else ""),
                (row["cost"], 100 * row["value"]), (0, 6), textcoords="offset points", size=7,
                color=INK, ha="center",
            )  # fmt: skip
    axes.axhline(0, color=FAINT, lw=0.8, ls=":")
    axes.set_title("trials, on validation", fontsize=8.5, color=INK)
    axes.set_ylabel("Δ over single-task [%]", fontsize=8.5, color=INK)
    _finish(axes, label)


def _draw_methods(axes: Axes, part: pd.DataFrame, metric: str, styles: dict[str, int]) -> None:
    title, scale = metric_title(metric)
    cost, label = _cost(part)
    for row in part.assign(cost=cost).to_dict("records"):
        style = styles[row["name"]]
        error = None if np.isnan(row["sd"]) else [scale * row["sd"]]
        axes.errorbar(
            [row["cost"]], [scale * row["value"]], error, fmt=_MARKERS[style % len(_MARKERS)],
            color=TASK_COLOURS[style % len(TASK_COLOURS)], ms=6, elinewidth=1.2, capsize=2,
            label=short(row["name"], 34), zorder=3,
        )  # fmt: skip
    _front(axes, part, cost, scale)
    if is_error(metric):
        axes.invert_yaxis()
    axes.set_title("retrained, on test", fontsize=8.5, color=INK)
    axes.set_ylabel(title, fontsize=8.5, color=INK)
    _finish(axes, label)


def _front(axes: Axes, part: pd.DataFrame, cost: pd.Series, scale: float) -> None:
    front = part[part["pareto"]].assign(cost=cost).sort_values("cost")
    axes.plot(front["cost"], scale * front["value"], color=ALL, lw=1.1, zorder=2)


def _finish(axes: Axes, label: str) -> None:
    axes.set_xlabel(label, fontsize=8, color=INK)
    axes.margins(x=0.12, y=0.16)
    quiet(axes)
