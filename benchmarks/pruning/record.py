"""Record full learning curves of many candidates: the objectives after every epoch, without pruning.

    python benchmarks/pruning/record.py --runs DIR

Interrupted, the same command goes on. Writes curves.csv beside this file: one row per trial and epoch with `delta`
(mean relative gain over single-task networks, validation, hardened) and `macs` of the network as it stood then.
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
    arguments = parser.parse_args()
    run = search(load_study(HERE / "study.yaml"), runs=arguments.runs)
    epochs = run.epochs()
    complete = {trial.number for trial in run.complete}
    curves = epochs[epochs["trial"].isin(complete)][["trial", "epoch", "score", "macs"]]
    curves = curves.rename(columns={"score": "delta"})
    curves["delta"] = curves["delta"].round(5)
    curves.to_csv(HERE / "curves.csv", index=False)
    print(f"{len(complete)} trials of {epochs['epoch'].max():.0f} epochs: {HERE / 'curves.csv'}")


if __name__ == "__main__":
    main()
