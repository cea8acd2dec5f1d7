"""Results as a table for people: one row per method, mean ± standard deviation over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from sfg_nas.report.words import counted
from sfg_nas.tasks import TASK_KINDS, Task

_PERCENT = ("accuracy", "balanced_accuracy")
_COSTS = {"macs": "MACs", "params": "parameters"}


@dataclass(frozen=True)
class ResultsTable:
    """A table of text.

    Attributes:
        columns: Titles; the first column is the method.
        rows: Cells, as long as `columns`.
        note: What a reader must know of the numbers.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str

    def markdown(self) -> str:
        """Return the table in Markdown, numbers to the right, the note below."""
        cells = [[cell.replace("|", "\\|") for cell in row] for row in (self.columns, *self.rows)]
        widths = self._widths(cells)
        rule = [":" + "-" * (widths[0] - 1), *["-" * (width - 1) + ":" for width in widths[1:]]]
        lines = [self._line(row, widths) for row in cells]
        body = [f"| {' | '.join(row)} |" for row in [lines[0], rule, *lines[1:]]]
        return "\n".join([*body, "", self.note, ""])

    def text(self) -> str:
        """Return the table in plain text with aligned columns, the note below."""
        cells = [list(self.columns), *[list(row) for row in self.rows]]
        widths = self._widths(cells)
        lines = ["  ".join(self._line(row, widths)).rstrip() for row in cells]
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], "", self.note, ""])

    def _widths(self, cells: Sequence[Sequence[str]]) -> list[int]:
        return [max(3, *(len(row[i]) for row in cells)) for i in range(len(self.columns))]

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> list[str]:
        pairs = list(zip(row, widths, strict=True))
        return [pairs[0][0].ljust(pairs[0][1]), *[cell.rjust(width) for cell, width in pairs[1:]]]


def results_table(summary: pd.DataFrame, tasks: Sequence[Task] = ()) -> ResultsTable:
    """Return a summary of retrained networks as a table for people.

    Args:
        summary: What `retrain` returns: indexed by method, with `seeds`, `params`, `macs`, perhaps
            `relative_macs`, and for each metric (`age/mae`, `delta`) a column of means and one of
            standard deviations with ` sd` at its end.
        tasks: The tasks, for units; metrics of unknown tasks have none.
    """
    units = {task.name: task.unit or "" for task in tasks}
    metrics = metric_columns(summary)
    columns = ["method", *[_title(metric, units) for metric in metrics]]
    columns += [_COSTS[c] for c in _COSTS if c in summary.columns]
    if "relative_macs" in summary.columns:
        columns.insert(columns.index("MACs") + 1, "of hard sharing's")
    columns.append("seeds")
    digits = {metric: _digits(metric, summary) for metric in metrics}
    rows = []
    for method, record in summary.to_dict("index").items():
        values = {str(key): float(value) for key, value in record.items()}
        row = [str(method), *[_cell(metric, values, digits[metric]) for metric in metrics]]
        for cost in (c for c in _COSTS if c in values):
            row.append(counted(round(values[cost])))
            if cost == "macs" and "relative_macs" in values:
                row.append(_number(values["relative_macs"], 2))
        row.append(_number(values["seeds"], 0))
        rows.append(tuple(row))
    return ResultsTable(tuple(columns), tuple(rows), _note(summary, metrics))


def metric_columns(summary: pd.DataFrame) -> list[str]:
    """Return the metrics of a summary: the columns that have another with ` sd` at its end.

    Args:
        summary: What `retrain` returns.
    """
    return [str(c).removesuffix(" sd") for c in summary.columns if str(c).endswith(" sd")]


def metric_title(metric: str) -> tuple[str, float]:
    """Return a metric's name for a reader, and what its values are multiplied by to be shown.

    Args:
        metric: Such as `age/mae` or `delta`.
    """
    return _title(metric, {}), _scale(metric)


def is_error(metric: str) -> bool:
    """Return whether less of a metric is better.

    Args:
        metric: Such as `age/mae` or `delta`.
    """
    kinds = TASK_KINDS.values()
    return metric.rpartition("/")[2] in {k.metrics[0] for k in kinds if not k.higher_is_better}


def _title(metric: str, units: Mapping[str, str]) -> str:
    if metric == "delta":
        return "Δ [%]"
    task, _, name = metric.partition("/")
    title = f"{task} {name.upper() if name in ('mae', 'mse', 'rmse') else name.replace('_', ' ')}"
    unit = "%" if name in _PERCENT else units.get(task, "")
    return f"{title} [{unit}]" if unit else title


def _scale(metric: str) -> float:
    return 100.0 if metric == "delta" or metric.rpartition("/")[2] in _PERCENT else 1.0


def _cell(metric: str, values: Mapping[str, float], digits: int) -> str:
    mean, spread = (_scale(metric) * values[name] for name in (metric, f"{metric} sd"))
    if not math.isfinite(mean):
        return "–"
    text = _number(mean, digits, signed=metric == "delta")
    return f"{text} ± {_number(spread, digits)}" if math.isfinite(spread) else text


def _digits(metric: str, summary: pd.DataFrame) -> int:
    """Return how many decimals a column shows: two significant digits of its largest spread.

    No more than four, or than give four significant digits of the largest mean.
    """
    if _scale(metric) != 1.0:
        return 2
    spreads = [float(spread) for spread in summary[f"{metric} sd"] if spread > 0]
    means = [
        abs(float(mean)) / 100 for mean in summary[metric] if mean != 0 and math.isfinite(mean)
    ]
    sizes = spreads or means
    return min(max(4, _decimals(means)), max(0, _decimals(sizes))) if sizes else 2


def _decimals(sizes: Sequence[float]) -> int:
    """Return how many decimals give two significant digits of the largest size; 0 where there is none."""
    return 1 - math.floor(math.log10(max(sizes))) if sizes else 0


def _number(value: float, digits: int, *, signed: bool = False) -> str:
    if not math.isfinite(value):
        return "–"
    value = round(value, digits) + 0.0  # no minus before a zero
    text = f"{value:+.{digits}f}" if signed and value else f"{value:.{digits}f}"
    return text.replace("-", "−")


def _note(summary: pd.DataFrame, metrics: Sequence[str]) -> str:
    seeds = sorted({int(n) for n in summary["seeds"]})
    parts = []
    if seeds == [1]:
        parts.append("Single seed: the spread is not known.")
    elif 1 in seeds:
        parts.append("Mean ± standard deviation over seeds; rows without ± are of a single seed.")
    else:
        parts.append("Mean ± standard deviation over seeds.")
    if any(not math.isfinite(mean) for name in metrics for mean in summary[name]):
        parts.append("–: not known, as a score is missing.")
    if "delta" in metrics:
        parts.append("Δ: mean relative gain over the single-task networks, positive is better.")
    return " ".join(parts)
