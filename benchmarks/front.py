"""What the cost weight lambda3 finds: one search for each weight, retrained, beside hard sharing at the same MACs.

    python benchmarks/front.py studies/planted.yaml TABLE.csv [SEEDS] [--data-root DIR]

Gains are on validation. Rows that are in the file are not run again.
"""

from __future__ import annotations

import time

import pandas as pd
import torch
from starts import arguments, filled

from sfg_nas.allocation import Allocation
from sfg_nas.config import parse_overrides
from sfg_nas.fixed import distill
from sfg_nas.sharing import Supernet
from sfg_nas.study import Study, load_study
from sfg_nas.study.planted import at_equal_macs, retrained, searched
from sfg_nas.tasks import relative_gain

WEIGHTS = (0.0, 0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Values of lambda3."""


def all_shared(supernet: Supernet) -> Allocation:
    """Return the allocation that gives every filter to all tasks."""
    everyone = max(range(len(supernet.groups)), key=lambda g: len(supernet.groups.sets[g]))
    return supernet.wiring.allocation(torch.full((supernet.wiring.variables,), everyone))


def scored(study: Study, seed: int) -> dict[str, object]:
    """Return what one search gives: its cost, and its gains over hard sharing at full width and at that cost."""
    begun = time.process_time()
    supernet = searched(study, seed=seed)
    found = distill(supernet, supernet.allocation())
    row: dict[str, object] = {
        "expected_macs": round(supernet.expected_macs().item() / supernet.shared_macs, 3),
        "macs": round(found.macs / supernet.shared_macs, 3),
    }
    if not found.lint():  # else some task lost its path: there is no network to retrain
        narrowed = at_equal_macs(study, all_shared, found.macs)
        whole = retrained(study, distill(supernet, all_shared(supernet)), seed)
        values = retrained(study, found, seed)
        same = retrained(study, narrowed, seed)
        row["macs_hard_sharing"] = round(narrowed.macs / supernet.shared_macs, 3)
        row["gain"] = round(relative_gain(values, whole, study.tasks), 5)
        row["gain_at_equal_macs"] = round(relative_gain(values, same, study.tasks), 5)
    return row | {"cpu_seconds": round(time.process_time() - begun, 1)}


def as_markdown(rows: pd.DataFrame) -> str:
    """Return the mean and standard deviation over seeds of each weight."""
    lines = [
        "| `lambda3` | expected MACs | MACs of what was found | gain over hard sharing [%] | over hard sharing at the "
        "same MACs [%] | searches | without a path |",
        "|---|---|---|---|---|---|---|",
    ]
    for weight, some in rows.groupby("lambda3"):
        cells = [
            f"{some[name].mean() * scale:{form}} ± {some[name].std() * scale:{form.lstrip('+')}}"
            for name, scale, form in (
                ("expected_macs", 1, ".2f"),
                ("macs", 1, ".2f"),
                ("gain", 100, "+.1f"),
                ("gain_at_equal_macs", 100, "+.1f"),
            )
        ]
        lost = int(some["gain"].isna().sum())
        lines.append(f"| {weight} | " + " | ".join(cells) + f" | {len(some)} | {lost} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    torch.set_num_threads(1)
    given = arguments()
    changes = parse_overrides(given.set)

    def make(weight: str | float, seed: int) -> dict[str, object]:
        every = {**changes, "sharing.lambda3": float(weight), "data.seed": seed}
        return scored(load_study(given.study, every, data_root=given.data_root), seed)

    print(as_markdown(filled(given, "lambda3", WEIGHTS, make)))


if __name__ == "__main__":
    main()
