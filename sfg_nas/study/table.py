"""Tables over seeds: means with standard deviations, Δ against single-task networks, paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from sfg_nas.tasks import Task, relative_gain

SINGLE_TASK = "single-task"
HARD_SHARING = "hard-sharing"


def with_delta(rows: pd.DataFrame, tasks: Sequence[Task], *, part: str = "test") -> pd.DataFrame:
    """Return the rows with Δ of each network against the mean of the single-task networks; without it where one is 0.

    Args:
        rows: One row per network, as `Run.retrained` gives them.
        tasks: The tasks of the study.
        part: `validation` or `test`.
    """
    single = rows[rows["method"] == SINGLE_TASK]
    if single.empty:
        return rows
    references = {task.key: float(single[f"{part}/{task.key}"].mean()) for task in tasks}
    if any(value == 0 for value in references.values()):
        return rows
    deltas = [
        relative_gain({t.key: float(row[f"{part}/{t.key}"]) for t in tasks}, references, tasks)
        for _, row in rows.iterrows()
    ]
    return rows.assign(**{f"{part}/delta": deltas})


def summarise(rows: pd.DataFrame, tasks: Sequence[Task], *, part: str = "test") -> pd.DataFrame:
    """Return one row per method: costs, and mean and standard deviation over seeds of each metric and of Δ.

    Args:
        rows: One row per network, as `Run.retrained` gives them.
        tasks: The tasks of the study.
        part: `validation` or `test`.

    Returns:
        Indexed by method, in the order of the MACs; columns `seeds`, `params`, `macs`, `relative_macs` (to hard
        sharing, where it is there), and for each metric its name and its name with ` sd`, which is NaN for one seed.
    """
    rows = with_delta(rows, tasks, part=part)
    columns = [task.key for task in tasks]
    columns += ["delta"] if f"{part}/delta" in rows.columns else []
    records: list[dict[str, object]] = []
    for method, group in rows.groupby("method", sort=False):
        record: dict[str, object] = {"method": method, "seeds": len(group)}
        record |= {name: int(group[name].iloc[0]) for name in ("params", "macs")}
        for column in columns:
            record[column] = float(group[f"{part}/{column}"].mean())
            record[f"{column} sd"] = float(group[f"{part}/{column}"].std(ddof=1))
        records.append(record)
    table = pd.DataFrame(records).set_index("method").sort_values("macs", ascending=False)
    if HARD_SHARING in table.index:
        relative = table["macs"] / float(table["macs"].loc[HARD_SHARING])
        table.insert(3, "relative_macs", relative)
    return table


def paired_differences(
    rows: pd.DataFrame, tasks: Sequence[Task], *, method: str, part: str = "test"
) -> pd.DataFrame:
    """Return the differences of a method to each other one, seed by seed, so that what a seed does to both cancels.

    Args:
        rows: One row per network, as `Run.retrained` gives them.
        tasks: The tasks of the study.
        method: The method that the others are subtracted from.
        part: `validation` or `test`.

    Returns:
        One row per other method and metric: `against`, `metric`, `seeds`, `mean`, `sd`, and `better` (whether the
        mean difference is in the direction of better).
    """
    rows = with_delta(rows, tasks, part=part)
    better = {task.key: task.higher_is_better for task in tasks}
    better |= {"delta": True} if f"{part}/delta" in rows.columns else {}
    mine = rows[rows["method"] == method].set_index("seed")
    records = []
    for other, group in rows[rows["method"] != method].groupby("method", sort=False):
        theirs = group.set_index("seed")
        for metric, higher in better.items():
            column = f"{part}/{metric}"
            difference = (mine[column] - theirs[column]).dropna()
            mean = float(difference.mean())
            records.append(
                {
                    "method": method,
                    "against": other,
                    "metric": metric,
                    "seeds": len(difference),
                    "mean": mean,
                    "sd": float(difference.std(ddof=1)),
                    "better": (mean > 0) == higher and mean != 0,
                }
            )
    return pd.DataFrame(records)


def records(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Return the rows of a frame with all digits of their numbers; what is missing is None.

    Args:
        frame: Its index is left out.
    """
    rows = frame.to_dict("records")
    return [
        {str(key): None if _missing(value) else value for key, value in row.items()} for row in rows
    ]


def _missing(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
