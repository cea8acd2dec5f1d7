"""Trials per hour of two workers beside one, one thread each.

    python benchmarks/workers.py [STUDY] [--trials 6] [--rounds 3] [--set key=value ...]

Rounds of one and of two workers take turns on the same candidates (random, by the trial's number) with the references
already trained. Where the cores have other work to do, wall time says little; so the time that each worker spent
waiting for a core (`/proc/PID/schedstat`, Linux) is taken from its life, and the search is said to have taken as long as
its longest worker. What other work does to caches and memory stays in. Start-up of the workers is included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from sfg_nas.study import Study, load_study, search


def seconds_waited(pid: int) -> float | None:
    """Return how long a process's main thread was ready and had no core, or None if the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[1]) / 1e9
    except (OSError, IndexError):
        return None


@dataclass
class Watch:
    """Follows the life of this process's workers, or its own where it is the worker."""

    alone: bool
    ended: threading.Event = field(default_factory=threading.Event)
    lives: dict[int, tuple[float, float, float, float]] = field(default_factory=dict)

    def follow(self) -> None:
        """Note (first look, wait then, last look, wait then) of each process until told to stop."""
        while not self.ended.wait(0.05):
            workers = [child.pid for child in multiprocessing.active_children()]
            for pid in [os.getpid()] if self.alone else workers:
                waited = None if pid is None else seconds_waited(pid)
                if pid is None or waited is None:
                    continue
                now = time.perf_counter()
                born, before = self.lives.get(pid, (now, waited))[:2]
                self.lives[pid] = (born, before, now, waited)

    def undisturbed(self) -> float:
        """Return the longest life less its waits, in seconds."""
        return max(
            (now - born) - (waited - before) for born, before, now, waited in self.lives.values()
        )


def measure(study: Study, source: Path, trials: int, workers: int) -> tuple[float, float]:
    """Return the wall time and the undisturbed time of a search, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        watch = Watch(alone=workers == 1)
        thread = threading.Thread(target=watch.follow)
        start = time.perf_counter()
        thread.start()
        run = search(study, runs=Path(folder), trials=trials, workers=workers)
        watch.ended.set()
        thread.join()
        wall = time.perf_counter() - start
        assert len(run.all) == trials
    return wall, watch.undisturbed()


class Enough(Exception):
    """Raised when the references are there."""


def with_references(study: Study, folder: Path) -> None:
    """Begin a run and train its references."""

    def progress(report: object) -> None:
        if getattr(report, "stage", "") == "search":
            raise Enough

    try:
        search(study, runs=folder, trials=1, progress=progress)  # type: ignore[arg-type]
    except Enough:
        return


def main() -> None:
    """Measure in turns and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", nargs="?", default="studies/digits.yaml")
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--data-root", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    changes = ["search.sampler.kind=random", *arguments.changes]
    study = load_study(arguments.study, changes, data_root=arguments.data_root)
    ratios: dict[str, list[float]] = {"wall": [], "undisturbed": []}
    with tempfile.TemporaryDirectory() as folder:
        with_references(study, Path(folder))
        for number in range(arguments.rounds):
            times = {}
            for workers in (1, 2) if number % 2 == 0 else (2, 1):
                times[workers] = measure(study, Path(folder), arguments.trials, workers)
                wall, alone = times[workers]
                print(f"{workers} worker(s): {wall:6.1f} s, undisturbed {alone:6.1f} s", flush=True)
            for place, name in enumerate(ratios):
                ratios[name].append(times[1][place] / times[2][place])
    for name, values in ratios.items():
        shown = ", ".join(f"{value:.2f}" for value in sorted(values))
        print(
            f"trials per hour, two workers / one, {name}: {statistics.median(values):.2f} ({shown})"
        )


if __name__ == "__main__":
    main()
