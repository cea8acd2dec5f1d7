"""Record full learning curves of many candidates: the objectives after every epoch, without pruning.

    python benchmarks/pruning/record.py --runs DIR [--seed 1]

Interrupted, the same command goes on. Writes curves.csv (of another seed: curves-1.csv) beside this file: one row per
trial and epoch with `delta` (mean relative gain over single-task networks, validation, hardened) and `macs` of the
network as it stood then.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sfg_nas.study import load_study, search

HERE = Path(__file__).parent


def main() -> None:
    """Run the study and write the curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument(
        "--seed", type=int, default=0, help="of the search, images and weights included"
    )
    arguments = parser.parse_args()
    seed: int = arguments.seed
    changes = {"name": f"pruning-{seed}", "search.seed": seed, "data.seed": seed} if seed else {}
    run = search(load_study(HERE / "study.yaml", changes), runs=arguments.runs)
    target = HERE / (f"curves-{seed}.csv" if seed else "curves.csv")
    epochs = run.epochs()
    complete = {trial.number for trial in run.complete}
    curves = epochs[epochs["trial"].isin(complete)][["trial", "epoch", "score", "macs"]]
    curves = curves.rename(columns={"score": "delta"})
    curves["delta"] = curves["delta"].round(5)
    curves.to_csv(target, index=False)
    print(f"{len(complete)} trials of {epochs['epoch'].max():.0f} epochs: {target}")


if __name__ == "__main__":
    main()
