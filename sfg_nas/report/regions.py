"""Tables of metrics region by region, as the paper's second table has them organ by organ."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from sfg_nas.report.table import ResultsTable
from sfg_nas.tasks import Task


def region_tables(networks: pd.DataFrame, tasks: Sequence[Task]) -> dict[str, ResultsTable]:
    """Return for each dense task with regions a table: a row per method, a column overall and for each region.

    Args:
        networks: One row per network, with `method`, `seed` and `test/<task>/<metric>[/<region>]`.
        tasks: The tasks of the study.

    Returns:
        A table for each heading, such as `ct: MAE [HU]`; mean ± standard deviation over seeds on the test part, and the
        best mean of each column in bold.
    """
    found: dict[str, ResultsTable] = {}
    for task in tasks:
        column = f"test/{task.key}"
        regions = [
            str(name).removeprefix(f"{column}/")
            for name in networks.columns
            if str(name).startswith(f"{column}/")
        ]
        if not task.dense or not regions or networks.empty:
            continue
        unit = f" [{task.metric_unit}]" if task.metric_unit else ""
        metric = task.metric.upper() if task.metric == "mae" else task.metric.capitalize()
        found[f"{task.name}: {metric}{unit}"] = _table(networks, task, column, regions)
    return found


def _table(networks: pd.DataFrame, task: Task, column: str, regions: Sequence[str]) -> ResultsTable:
    keys = [column, *[f"{column}/{region}" for region in regions]]
    means = networks.groupby("method", sort=False)[keys].mean()
    spreads = networks.groupby("method", sort=False)[keys].std(ddof=1)
    seeds = networks.groupby("method", sort=False)["seed"].nunique()
    digits = 1 if task.has_unit else 3
    best = means.max() if task.higher_is_better else means.min()
    rows = []
    for method in means.index:
        cells = [str(method)]
        for key in keys:
            mean, spread = float(means.loc[method, key]), float(spreads.loc[method, key])
            text = f"{mean:.{digits}f}" if math.isfinite(mean) else "–"
            text += f" ± {spread:.{digits}f}" if math.isfinite(spread) else ""
            cells.append(f"**{text}**" if mean == float(best[key]) else text)
        rows.append((*cells, str(int(seeds[method]))))
    overall = "all" if task.metric == "mae" else "mean"
    how = "mean ± standard deviation over seeds" if int(seeds.max()) > 1 else "single seed"
    return ResultsTable(("method", overall, *regions, "seeds"), tuple(rows), f"Test part; {how}.")
