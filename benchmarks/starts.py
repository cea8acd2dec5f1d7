"""What each start of p finds: searched, then retrained at one cost for all, beside hard sharing and a tree split.

    python benchmarks/starts.py studies/planted.yaml TABLE.csv [SEEDS] [--data-root DIR]

Every allocation is widened or narrowed, with the shares of its groups, to `SHARE` of the MACs of the study's own network
with all shared. Rows that are in the file are not run again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import torch
from rows import Table

from sfg_nas.allocation import Allocation
from sfg_nas.config import Value, parse_overrides
from sfg_nas.fixed import distill
from sfg_nas.sharing import Supernet
from sfg_nas.study import Study, load_study
from sfg_nas.study.planted import at_equal_macs, retrained, searched, shared_fraction
from sfg_nas.tasks import relative_gain

SHARE = 0.6
"""Of the MACs of the study's network with all shared."""
START = "sharing.start.kind"
SPLIT: dict[str, Value] = {START: "branched"}
WAYS: dict[str, tuple[dict[str, Value], bool]] = {
    "thirds": ({START: "thirds"}, True),
    "dirichlet": ({START: "dirichlet"}, True),
    "vertices": ({START: "vertices"}, True),
    "near shared": ({START: "near-shared"}, True),
    "near shared, hierarchical": ({START: "near-shared", "sharing.hierarchical": True}, True),
    "branched in the middle": (SPLIT, True),
    "all shared, not searched": ({START: "near-shared"}, False),
    "tree split in the middle, not searched": (SPLIT, False),
    "random, not searched": ({START: "vertices"}, False),
}
"""What a row changes of the study, and whether it searches or keeps what the start favours."""


def like(found: Allocation) -> Callable[[Supernet], Allocation]:
    """Return what gives networks of any width the found shares of groups, layer by layer."""

    def choose(supernet: Supernet) -> Allocation:
        chosen = torch.zeros(supernet.wiring.variables, dtype=torch.long)
        for name, rows in supernet.wiring.layers.items():
            source = sorted(found.layers[name])
            for place, row in enumerate(rows.tolist()):
                chosen[row] = source[(2 * place + 1) * len(source) // (2 * len(rows))]
        return supernet.wiring.allocation(chosen)

    return choose


def scored(study: Study, seed: int, *, search: bool) -> dict[str, object]:
    """Return what one start gives: what it found, and how good that is at the common cost."""
    begun = time.process_time()
    supernet = (
        searched(study, seed=seed) if search else study.make_supernet(study.config, seed=seed)
    )
    found = supernet.allocation()
    own = distill(supernet, found)
    row: dict[str, object] = {
        "shared": round(shared_fraction(supernet), 3),
        "found_macs": round(own.macs / supernet.shared_macs, 3),
        "counts": "; ".join(" ".join(map(str, counts)) for counts in found.counts().values()),
    }
    if not own.lint():
        scaled = at_equal_macs(study, like(found), round(SHARE * supernet.shared_macs))
        row["macs"] = round(scaled.macs / supernet.shared_macs, 3)
        row |= {name: round(value, 5) for name, value in retrained(study, scaled, seed).items()}
    return row | {"cpu_seconds": round(time.process_time() - begun, 1)}


def as_markdown(rows: pd.DataFrame, study: Study) -> str:
    """Return the mean and standard deviation over seeds of each start; gains are over the all-shared network."""
    keys = [task.key for task in study.tasks]
    plain = rows[rows["start"] == "all shared, not searched"].set_index("seed")
    rows = rows.assign(
        gain=[
            relative_gain(row[keys].to_dict(), plain.loc[row["seed"], keys].to_dict(), study.tasks)
            if row[keys].notna().all()
            else float("nan")
            for _, row in rows.iterrows()
        ]
    )
    lines = [
        "| start | shared part of the MACs | MACs found | MACs compared | gain [%] | searches | without a path |",
        "|---|---|---|---|---|---|---|",
    ]
    for start, some in rows.groupby("start", sort=False):
        cells = [
            f"{some[name].mean():.2f} ± {some[name].std():.2f}"
            for name in ("shared", "found_macs", "macs")
        ]
        cells.append(f"{some['gain'].mean():+.1%} ± {some['gain'].std():.1%}".replace("%", ""))
        lost = int(some["gain"].isna().sum())
        lines.append(f"| {start} | " + " | ".join(cells) + f" | {len(some)} | {lost} |")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """Return what the command line gives: study, table, seeds, data_root and set."""
    parser = argparse.ArgumentParser()
    parser.add_argument("study", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("seeds", type=int, nargs="?", default=3)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--set", action="append", default=[], help="key=value, as in sfg-nas")
    return parser.parse_args()


def filled(
    given: argparse.Namespace,
    column: str,
    ways: Iterable[str | float],
    make: Callable[[str | float, int], dict[str, object]],
) -> pd.DataFrame:
    """Return the table with a row for each way and seed, written after each that was missing.

    Args:
        given: From `arguments`.
        column: Where the way stands.
        ways: What is tried.
        make: Returns the rest of a row.
    """
    table = Table(given.table)
    for seed in range(given.seeds):
        for way in ways:
            keys = {column: way, "seed": seed}
            if keys not in table:
                table.add(keys | make(way, seed))
    return table.frame()


def main() -> None:
    """Run what is missing and print the table."""
    torch.set_num_threads(1)
    given = arguments()
    changes = parse_overrides(given.set)

    def make(way: str | float, seed: int) -> dict[str, object]:
        start, search = WAYS[str(way)]
        every = {**changes, **start, "data.seed": seed}
        return scored(
            load_study(given.study, every, data_root=given.data_root), seed, search=search
        )

    rows = filled(given, "start", WAYS, make)
    print(as_markdown(rows, load_study(given.study, changes, data_root=given.data_root)))


if __name__ == "__main__":
    main()
