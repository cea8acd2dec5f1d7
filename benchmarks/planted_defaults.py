"""One setting at a time: how well does a search over the frozen bank find the planted roles?

    python benchmarks/planted_defaults.py studies/results/planted_defaults.csv [SEEDS]

Rows that are in the file are not run again. Every row changes one key of `BASE`, which is the first row.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from rows import Table

from sfg_nas.config import Value
from sfg_nas.study import load_study
from sfg_nas.study.planted import score_bank

BASE: dict[str, Value] = {
    "name": "planted-defaults",
    "data": {"kind": "planted", "size": 12, "train": 1500, "validation": 50, "test": 50},
    "backbone": {"kind": "vgg11", "width": 0.125, "depth": 2},
    "sharing": {"lambda3": 0.3, "temperature": {"start": 1.0, "end": 0.5}},
    "training": {
        "epochs": 20,
        "batch_size": 64,
        "learning_rate": 1e-2,
        "allocation_learning_rate": 0.1,
    },
    "search": {"space": {}},
}
CHANGES: list[dict[str, Value]] = [
    {},
    *[{"training.allocation_learning_rate": rate} for rate in (0.01, 0.03, 0.3)],
    *[{"sharing.lambda3": weight} for weight in (0.0, 0.03, 0.1, 1.0)],
    *[{"sharing.estimator": name} for name in ("soft", "soft-first", "mixed")],
    {"sharing.temperature.end": 0.1},
    {"sharing.temperature.shape": "constant"},
    {"sharing.temperature.start": 3.0},
    *[{"sharing.warmup_epochs": epochs} for epochs in (2, 6)],
    *[{"sharing.lambda2": weight} for weight in (-10.0, -1.0, 1.0, 10.0)],
    *[{"sharing.start.kind": kind} for kind in ("dirichlet", "vertices", "near-shared")],
    {"sharing.start.kind": "branched", "sharing.start.split": 1},
    {"sharing.start.kind": "near-shared", "sharing.start.confidence": 0.6},
    {"sharing.hierarchical": True},
    {"sharing.relaxation": "streams"},
    {"training.learning_rate": 3e-3},
]


def words(changes: dict[str, Value]) -> str:
    """Return changes as one text."""
    return "; ".join(f"{key}={value}" for key, value in changes.items()) or "base"


def main() -> None:
    """Run what is missing and write the table after every search."""
    torch.set_num_threads(1)
    table, seeds = Table(Path(sys.argv[1])), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    for seed in range(seeds):
        for changes in CHANGES:
            keys = {"change": words(changes), "seed": seed}
            if keys in table:
                continue
            begun = time.process_time()
            scores = score_bank(load_study(BASE, changes | {"data.seed": seed}), seed=seed)
            scores = {name: round(value, 4) for name, value in scores.items()}
            seconds = round(time.process_time() - begun, 1)
            table.add(keys | scores | {"cpu_seconds": seconds})


if __name__ == "__main__":
    main()
