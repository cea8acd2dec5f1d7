"""How a search over the lattice's seven groups is best begun, and how long it takes: the frozen bank of three tasks.

    python benchmarks/planted_lattice.py studies/planted.yaml TABLE.csv [SEED ...]

Rows that are in the file are not run again.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from rows import Table, study_table_and_seeds

from sfg_nas.config import Value
from sfg_nas.study import load_study
from sfg_nas.study.planted import again, score_bank
from sfg_nas.study.planted.report import BANKS

KEYS = (
    "sharing.start.kind",
    "training.allocation_learning_rate",
    "training.epochs",
    "sharing.lambda3",
)
WAYS: tuple[tuple[Value, ...], ...] = (
    ("vertices", 0.05, 20, 0.4),
    ("vertices", 0.05, 40, 0.4),
    ("thirds", 0.05, 20, 0.4),
    ("thirds", 0.05, 40, 0.4),
    ("thirds", 0.05, 40, 0.2),
    ("thirds", 0.1, 20, 0.4),
    ("thirds", 0.1, 40, 0.4),
    ("thirds", 0.1, 40, 0.2),
    ("thirds", 0.1, 60, 0.4),
)
"""Values of `KEYS`."""
CONFIDENCE: dict[str, Value] = {"sharing.start.confidence": 0.6}
"""Of vertices; the study's is another start's."""


def main() -> None:
    """Run what is missing, write the table after every search, and print means over seeds."""
    torch.set_num_threads(1)
    given = study_table_and_seeds(range(100, 106))
    table = Table(given.table)
    for seed in given.seeds:
        for way in WAYS:
            changes = dict(zip(KEYS, way, strict=True))
            if changes | {"seed": seed} in table:
                continue
            study = load_study(given.study, changes | CONFIDENCE)
            sharing = study.config.sharing.model_copy(update={"groups": "lattice"})
            study = replace(study, config=study.config.model_copy(update={"sharing": sharing}))
            scores = score_bank(again(study, seed=seed, **BANKS["lattice"].data), seed=seed)
            table.add(changes | {"seed": seed} | scores)
    print(table.frame().groupby([*KEYS])[["auroc", "accuracy"]].agg(["mean", "std"]).round(3))


if __name__ == "__main__":
    main()
