"""Which start, cost weight and rate of p find, with learned filters, what is worth the most at its cost.

    python benchmarks/planted_dial.py studies/planted.yaml TABLE.csv [SEED ...]

At three settings of the dial each found network is retrained twice. How good random allocations and the oracle's are at
its cost is read off a line through the log errors of eight networks each, of four widths, over their log MACs: that
serves all ways at once, and evens out what a single retraining gives by chance. Rows that are in the file are not run
again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sfg_nas.architecture import Architecture
from sfg_nas.config import Value
from sfg_nas.errors import ArchitectureError
from sfg_nas.fixed import distill
from sfg_nas.sharing import random_allocation
from sfg_nas.study import Study, load_study
from sfg_nas.study.planted import again, at_equal_macs, retrained, searched, shared_fraction
from sfg_nas.study.planted.allocations import oracle_allocation
from sfg_nas.study.planted.bank import truth_of

KEYS = (
    "sharing.start.kind",
    "sharing.start.confidence",
    "sharing.lambda3",
    "training.allocation_learning_rate",
    "training.epochs",
    "sharing.warmup_epochs",
)
WAYS: tuple[tuple[Value, ...], ...] = (
    ("vertices", 0.6, 0.1, 0.02, 20, 0),
    ("vertices", 0.6, 0.3, 0.02, 20, 0),
    ("vertices", 0.6, 0.3, 0.02, 60, 0),
    ("thirds", 0.6, 0.1, 0.02, 20, 0),
    ("near-shared", 0.6, 0.2, 0.02, 20, 0),
    ("near-shared", 0.6, 0.4, 0.02, 20, 0),
    ("near-shared", 0.6, 0.6, 0.02, 20, 0),
    ("near-shared", 0.6, 0.3, 0.02, 40, 0),
    ("near-shared", 0.6, 0.4, 0.05, 20, 0),
    ("near-shared", 0.5, 0.5, 0.03, 20, 0),
    ("near-shared", 0.4, 0.4, 0.02, 20, 0),
    ("near-shared", 0.4, 0.4, 0.02, 20, 4),
    ("near-shared", 0.4, 0.6, 0.02, 20, 0),
    ("near-shared", 0.4, 0.3, 0.03, 20, 0),
    ("near-shared", 0.4, 0.4, 0.03, 20, 0),
    ("near-shared", 0.3, 0.4, 0.02, 20, 0),
    ("near-shared", 0.3, 0.3, 0.03, 20, 0),
)
"""Values of `KEYS`; thirds do not use theirs."""
DIAL = (0.0, 0.5, 1.0)
COSTS = (0.55, 0.7, 0.85, 1.0)
"""MACs of the networks that found ones are measured against, relative to all shared."""
REPEATS = (0, 1)
BETWEEN = 1000
"""Repeat number times this is added to a seed."""


class Table:
    """Rows in a file, written after each one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: list[dict[Any, Any]] = (
            pd.read_csv(path).to_dict("records") if path.exists() else []
        )

    def lacks(self, **keys: Value) -> bool:
        """Return whether no row has these values."""
        return not any(all(row.get(k) == v for k, v in keys.items()) for row in self.rows)

    def add(self, **row: object) -> None:
        """Add a row."""
        self.rows.append(row)
        pd.DataFrame(self.rows).to_csv(self._path, index=False)


def errors(study: Study, network: Architecture, seed: int) -> dict[str, float]:
    """Return the tasks' mean absolute errors of a network that is retrained."""
    values = retrained(study, network, seed)
    return {task.key: values[task.key] for task in study.tasks}


def measure_references(table: Table, study: Study, **place: Value) -> None:
    """Add networks of random allocations and of the oracle's, at every cost."""
    truth = truth_of(study)
    whole = study.make_supernet(study.config, seed=0).shared_macs
    for cost in COSTS:
        for repeat in REPEATS:
            seed = int(str(place["seed"])) + BETWEEN * repeat
            for kind, choose in (
                ("random", partial(random_allocation, seed=seed)),
                ("oracle", partial(oracle_allocation, truth=truth)),
            ):
                keys: dict[str, Value] = {"kind": kind, "cost": cost, "repeat": repeat, **place}
                if table.lacks(**keys):
                    network = at_equal_macs(study, choose, round(cost * whole))
                    macs = network.macs / whole
                    table.add(**keys, macs=macs, **errors(study, network, seed))


def measure_found(table: Table, way: Study, study: Study, **place: Value) -> None:
    """Add the networks that one search found, retrained as the study says whatever the way of searching."""
    if not table.lacks(kind="found", **place):
        return
    seed = int(str(place["seed"]))
    supernet = searched(way, seed=seed)
    shared, network = shared_fraction(supernet), distill(supernet, supernet.allocation())
    try:
        network.checked()
    except ArchitectureError:  # some task lost its path from the image
        table.add(kind="found", **place, shared=shared)
        return
    for repeat in REPEATS:
        values = errors(study, network, seed + BETWEEN * repeat)
        macs = network.macs / supernet.shared_macs
        table.add(kind="found", **place, repeat=repeat, shared=shared, macs=macs, **values)


def at_cost(rows: pd.DataFrame, macs: float, tasks: Iterable[str]) -> np.ndarray:
    """Return each task's error at a cost, from a line through log errors over log MACs."""
    logs = np.log(rows["macs"])
    lines = (np.polyfit(logs, np.log(rows[task]), 1) for task in tasks)
    return np.exp([np.polyval(line, np.log(macs)) for line in lines])


def gains(rows: pd.DataFrame, tasks: list[str]) -> pd.DataFrame:
    """Return each search's `shared` and `macs`, and the gains over random of what it `found` and of the `oracle`."""
    groups = dict(list(rows[rows["kind"] != "found"].groupby(["kind", "relatedness", "seed"])))
    result = []
    for keys, some in rows[rows["kind"] == "found"].groupby([*KEYS, "relatedness", "seed"]):
        place, macs = keys[-2:], float(some["macs"].mean())
        row = dict(zip((*KEYS, "relatedness", "seed"), keys, strict=True))
        row |= {"shared": some["shared"].mean(), "macs": macs}
        if macs == macs:  # not lost
            random, oracle = (at_cost(groups[k, *place], macs, tasks) for k in ("random", "oracle"))
            row["found"] = float(np.mean(1 - some[tasks].mean().to_numpy() / random))
            row["oracle"] = float(np.mean(1 - oracle / random))
        result.append(row)
    return pd.DataFrame(result)


def as_markdown(found: pd.DataFrame) -> str:
    """Return a row for each way."""
    lines = [
        "| start | `lambda3` | rate of p | epochs | warm-up | searches | shared along the dial | gain of found | of oracle | way |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (kind, confidence, weight, rate, epochs, warmup), some in found.groupby(
        [*KEYS], sort=False
    ):
        shared = ", ".join(f"{x:.2f}" for x in some.groupby("relatedness")["shared"].mean())
        of_seeds = some.groupby("seed")["found"].mean()
        mean, error = some["found"].mean(), of_seeds.std() / of_seeds.count() ** 0.5
        lines.append(
            f"| {kind}{'' if kind == 'thirds' else f' {confidence}'} | {weight} | {rate} | {epochs:.0f} | {warmup:.0f} | {len(some)} | {shared} "
            f"| {mean:+.3f} ± {error:.3f} | {some['oracle'].mean():+.3f} | {mean / some['oracle'].mean():.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("study", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("seeds", type=int, nargs="*", default=range(100, 104))
    given = parser.parse_args()
    table, base = Table(given.table), load_study(given.study)
    ways = {values: dict(zip(KEYS, values, strict=True)) for values in WAYS}
    for seed in given.seeds:
        for dial in DIAL:
            here = again(base, seed=seed, relatedness=dial)
            measure_references(table, here, relatedness=dial, seed=seed)
            for changes in ways.values():
                way = again(load_study(given.study, changes), seed=seed, relatedness=dial)
                measure_found(table, way, here, **changes, relatedness=dial, seed=seed)
    print(as_markdown(gains(pd.DataFrame(table.rows), [task.key for task in base.tasks])))


if __name__ == "__main__":
    main()
