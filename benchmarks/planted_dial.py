"""Which start, cost weight and rate of p find, with learned filters, what is worth the most at its cost.

    python benchmarks/planted_dial.py studies/planted.yaml TABLE.csv [SEED ...]

At three settings of the dial each found network is retrained twice. How good random allocations and the oracle's are at
its cost is read off a line through the log errors of eight networks each, of four widths, over their log MACs: that
serves all ways at once, and evens out what a single retraining gives by chance. Rows that are in the file are not run
again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import torch
from rows import Table, study_table_and_seeds

from sfg_nas.architecture import Architecture
from sfg_nas.config import Value
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
"""Values of `KEYS`; thirds have no use for a confidence."""
DIAL = (0.0, 0.5, 1.0)
"""Settings of `relatedness`."""
COSTS = (0.55, 0.7, 0.85, 1.0)
"""MACs of the networks that found ones are measured against, relative to all shared."""
REPEATS = (0, 1)
BETWEEN = 1000
"""Repeat number times this is added to a seed."""


def errors(study: Study, network: Architecture, seed: int) -> dict[str, float]:
    """Return the tasks' mean absolute errors of a network that is retrained."""
    values = retrained(study, network, seed)
    return {task.key: values[task.key] for task in study.tasks}


def measure_references(table: Table, study: Study, dial: float, seed: int) -> None:
    """Add networks of random allocations and of the oracle's, at every cost."""
    truth = truth_of(study)
    whole = study.make_supernet(study.config, seed=0).shared_macs
    for cost, repeat in product(COSTS, REPEATS):
        own_seed = seed + BETWEEN * repeat
        for kind, choose in (
            ("random", partial(random_allocation, seed=own_seed)),
            ("oracle", partial(oracle_allocation, truth=truth)),
        ):
            keys = {"kind": kind, "cost": cost, "repeat": repeat, "relatedness": dial, "seed": seed}
            if keys not in table:
                network = at_equal_macs(study, choose, round(cost * whole))
                macs = {"macs": network.macs / whole}
                table.add(keys | macs | errors(study, network, own_seed))


def found_by(way: Study, study: Study, seed: int) -> Iterator[dict[str, float]]:
    """Give the network that one search found, each time retrained as the study says whatever the way of searching."""
    supernet = searched(way, seed=seed)
    network = distill(supernet, supernet.allocation())
    row = {"shared": shared_fraction(supernet)}
    if network.lint():  # some task lost its path from the image: there is no network to retrain
        yield row
        return
    row["macs"] = network.macs / supernet.shared_macs
    for repeat in REPEATS:
        yield row | {"repeat": repeat} | errors(study, network, seed + BETWEEN * repeat)


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
        if not np.isnan(macs):  # no task lost its path
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
    given = study_table_and_seeds(range(100, 104))
    table, base = Table(given.table), load_study(given.study)
    ways = [dict(zip(KEYS, values, strict=True)) for values in WAYS]
    searches = [(changes, load_study(given.study, changes)) for changes in ways]
    for seed, dial in product(given.seeds, DIAL):
        here = again(base, seed=seed, relatedness=dial)
        measure_references(table, here, dial, seed)
        for changes, search in searches:
            keys = {"kind": "found", **changes, "relatedness": dial, "seed": seed}
            if keys not in table:
                way = again(search, seed=seed, relatedness=dial)
                table.add(*(keys | row for row in found_by(way, here, seed)))
    print(as_markdown(gains(table.frame(), [task.key for task in base.tasks])))


if __name__ == "__main__":
    main()
