"""From finished trainings to frames: one row per network, one per metric, one per method, one per comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import pandas as pd

from sfg_nas.compare.entrant import Entrant, Setting
from sfg_nas.compare.job import EQUAL, OWN, Job, stored
from sfg_nas.compare.plain import HARD_SHARING, SINGLE_TASK, study_macs
from sfg_nas.compare.plan import twin_of
from sfg_nas.compare.same import same_network, with_networks
from sfg_nas.compare.statistics import interval
from sfg_nas.study import all_shared
from sfg_nas.study.equal_cost import NEAR
from sfg_nas.tasks import Task, relative_gain

AT_FOUND = "hard-sharing-at-found"
COSTS = ("params", "macs", "training_seconds")
FRAME = ["method", "scale", "seed", "learning_rate", "factor", *COSTS, "flatness"]


def networks(
    setting: Setting,
    jobs: Sequence[Job],
    entrant: Callable[[str], Entrant],
    earlier: Sequence[dict[str, Any]] = (),
) -> pd.DataFrame:
    """Return one row per finished network and way of predicting, with `validation/...` and `test/...` columns.

    The column `network` holds the same for one network under several names, `other_layers` whether it has others than hard sharing. Methods that cost as much as hard sharing at their own width have their rows at both scales.

    Args:
        setting: The comparison.
        jobs: Its trainings.
        entrant: Gives a method by name.
        earlier: Rows of earlier calls.
    """
    reference = study_macs(setting.study)
    rows: list[dict[str, Any]] = []
    for job in jobs:
        method = entrant(job.entrant)
        content, tested = stored(job, method, setting), stored(job, method, setting, "test")
        if not content or not tested:
            continue
        same = job.scale == OWN and setting.section.equal_macs
        same = same and twin_of(setting, method, job.seed, reference).same
        rows += rows_of(job, content, tested, reference=reference, same=same)
    frame = _with_delta(pd.DataFrame([*rows, *earlier]), setting.study.tasks)
    if frame.empty:
        return frame
    return with_networks(frame, setting.files.root, cache(lambda: all_shared(setting.study)))


def rows_of(
    job: Job,
    content: Mapping[str, Any],
    tested: Mapping[str, Any],
    *,
    reference: int,
    same: bool,
) -> list[dict[str, Any]]:
    """Return one row for each way of predicting of a finished training.

    Args:
        job: The training.
        content: Its costs and scores on validation.
        tested: Its scores on test.
        reference: MACs of hard sharing.
        same: Whether it costs that much at its own width, so that it has a row at equal MACs, too.
    """
    own = _rows(job, content, tested)
    if job.scale == EQUAL:
        # What a method learns anew need not cost what its width was fitted to.
        own = [row for row in own if abs(row["macs"] / reference - 1) <= NEAR]
    return own + [row | {"scale": EQUAL} for row in own[:1] if same]


def _rows(job: Job, content: Mapping[str, Any], tested: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for chosen, final in zip(content["readings"], tested["readings"], strict=True):
        label = chosen["label"]
        if job.scale == EQUAL and rows:
            break  # the width was fitted to the cost of the first way of predicting
        row: dict[str, Any] = {
            "method": f"{job.entrant} ({label})" if label else job.entrant,
            "scale": job.scale,
            "seed": job.seed,
            "learning_rate": job.learning_rate,
            "factor": job.factor,
            "params": chosen["params"],
            "macs": chosen["macs"],
            "training_seconds": content["training_seconds"],
            "flatness": content["flatness"],
            "architecture": content["architecture"],
        }
        row |= {f"validation/{name}": value for name, value in chosen["scores"].items()}
        row |= {f"test/{name}": value for name, value in final["scores"].items()}
        rows.append(row)
    return rows


def _with_delta(frame: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """Return the rows with Δ against the mean of the single-task networks at their own cost."""
    if frame.empty:
        return frame
    single = frame[(frame["method"] == SINGLE_TASK) & (frame["scale"] == OWN)]
    for part in ("validation", "test"):
        if single.empty:
            continue
        references = {task.key: float(single[f"{part}/{task.key}"].mean()) for task in tasks}
        if any(value == 0 for value in references.values()):
            continue
        frame[f"{part}/delta"] = [
            relative_gain({t.key: float(row[f"{part}/{t.key}"]) for t in tasks}, references, tasks)
            for row in frame.to_dict("records")
        ]
    return frame


def long(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the content of `compare.csv`: one row per method, scale, seed and metric.

    Args:
        frame: One row per network.
    """
    metrics = [name.removeprefix("test/") for name in frame.columns if name.startswith("test/")]
    parts = [
        frame[FRAME].assign(
            metric=name, validation=frame[f"validation/{name}"], test=frame[f"test/{name}"]
        )
        for name in metrics
    ]
    order = ["scale", "method", "seed", "metric"]
    joined = pd.concat(parts, ignore_index=True)
    leading = ["method", "scale", "seed", "metric", "test", "validation"]
    return joined.sort_values(order, kind="stable", ignore_index=True)[
        [*leading, *[name for name in joined.columns if name not in leading]]
    ]


def summary(frame: pd.DataFrame, tasks: Sequence[Task], scale: str) -> pd.DataFrame:
    """Return one row per method: means and standard deviations over seeds of metrics, Δ and seconds; costs.

    Args:
        frame: One row per network.
        tasks: The tasks.
        scale: `own` or `equal-macs`.
    """
    columns = [task.key for task in tasks]
    columns += ["delta"] if "test/delta" in frame.columns else []
    records: list[dict[str, object]] = []
    for method, group in frame[frame["scale"] == scale].groupby("method", sort=False):
        record: dict[str, object] = {"method": method, "seeds": len(group)}
        record |= {name: float(group[name].mean()) for name in COSTS}
        for column in columns:
            record[column] = float(group[f"test/{column}"].mean())
            record[f"{column} sd"] = float(group[f"test/{column}"].std(ddof=1))
        records.append(record)
    table = pd.DataFrame(records).set_index("method")
    hard = frame[(frame["method"] == HARD_SHARING) & (frame["scale"] == OWN)]
    if not hard.empty:
        table.insert(3, "relative_macs", table["macs"] / float(hard["macs"].iloc[0]))
    return table.sort_values("macs", ascending=False, kind="stable")


def comparisons(frame: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """Return the paired differences over seeds that the verdict rests on, with their intervals.

    Args:
        frame: One row per network.
        tasks: The tasks.

    Returns:
        One row per question, method and metric (Δ and each task's own): `question` (`equal-macs`: both cost what hard
        sharing costs; `at-found`: both cost what the found network costs; `single-task`: each at its own cost),
        `method`, `against`, `metric`, `better` (1 if more is better, else -1), `seeds`, `mean`, `sd`, the ends of the t
        interval (`low`, `high`), of the t interval for all comparisons of one question and metric together
        (`low_all`, `high_all`) and of the bootstrap (`bootstrap_low`, `bootstrap_high`), `same_network`: whether both are
        one network, so that they differ by chance, and `other_layers`: whether the method has others than hard sharing.
    """
    metrics = {task.key: 1 if task.higher_is_better else -1 for task in tasks}
    metrics = ({"delta": 1} if "test/delta" in frame.columns else {}) | metrics
    pairs = _pairs(frame)
    counts: dict[str, int] = {}
    for question, *_ in pairs:
        counts[question] = counts.get(question, 0) + 1
    # What the found network is for is asked twice: the two questions share one correction.
    together = counts.get("equal-macs", 0) + counts.get("at-found", 0)
    sizes = counts | {"equal-macs": together, "at-found": together}
    records = [
        _compared(question, mine, theirs, metric, sizes[question]) | {"better": better}
        for question, mine, theirs in pairs
        for metric, better in metrics.items()
    ]
    return pd.DataFrame(records)


def _pairs(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame, pd.DataFrame]]:
    def of(method: str, scale: str) -> pd.DataFrame:
        return frame[(frame["method"] == method) & (frame["scale"] == scale)]

    found: list[tuple[str, pd.DataFrame, pd.DataFrame]] = []
    if len(of("found", OWN)) and len(of(AT_FOUND, OWN)):
        found.append(("at-found", of("found", OWN), of(AT_FOUND, OWN)))
    for scale, question, rival in (
        (EQUAL, "equal-macs", HARD_SHARING),
        (OWN, "single-task", SINGLE_TASK),
    ):
        methods = frame[frame["scale"] == scale]["method"].unique()
        theirs = of(rival, OWN)
        found += [
            (question, of(method, scale), theirs)
            for method in methods
            if method != rival and len(theirs)
        ]
    return found


def _compared(
    question: str, mine: pd.DataFrame, theirs: pd.DataFrame, metric: str, together: int
) -> dict[str, object]:
    column = f"test/{metric}"
    difference = (mine.set_index("seed")[column] - theirs.set_index("seed")[column]).dropna()
    plain = interval(list(difference))
    wide = interval(list(difference), comparisons=together)
    return {
        "question": question,
        "method": str(mine["method"].iloc[0]),
        "against": str(theirs["method"].iloc[0]),
        "metric": metric,
        "seeds": plain.count,
        "mean": plain.mean,
        "sd": plain.sd,
        "low": plain.low,
        "high": plain.high,
        "low_all": wide.low,
        "high_all": wide.high,
        "bootstrap_low": plain.bootstrap_low,
        "bootstrap_high": plain.bootstrap_high,
        "comparisons": together,
        "same_network": same_network(mine, theirs),
        "other_layers": bool(mine["other_layers"].any()) if "other_layers" in mine else False,
    }
