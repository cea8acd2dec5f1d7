"""What of a study's time is not training, by a sampling profiler.

    python benchmarks/overhead.py [STUDY] [--set key=value ...] [--wall]

A timer interrupts the search every few milliseconds of its processor time (so other work on the machine is not
counted, nor is waiting for a disk; with `--wall` a thread looks every few milliseconds by the clock, which counts both) and notes which part of the code is at work: the innermost
frame that `PARTS` names. A part's share is its samples over all samples, whose spread is that of counting.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch

from sfg_nas.study import load_study, search

INTERVAL = 0.004  # seconds of processor time

TRACE = "trace and conversion of the network"
PARTS = {
    ("training/loop.py", "run_epoch"): "training",
    ("study/scoring.py", "score_epoch"): "validation after each epoch",
    ("study/scoring.py", "harden_and_score"): "hardening, distilling, scores of each step",
    ("study/references.py", "_train"): "norms and scores of the references",
    ("study/study.py", "make_supernet"): TRACE,
    ("training/loop.py", "save"): "checkpoints",
    ("training/loop.py", "restore"): "checkpoints",
    ("study/recorder.py", "__init__"): "records of metrics and probabilities",
    ("study/recorder.py", "__call__"): "records of metrics and probabilities",
    ("study/trial.py", "_write"): "files of the ended trial, exports",
    ("study/worker.py", "_next_trial"): "Optuna, storage, locks, reports",
    ("study/worker.py", "_finish"): "Optuna, storage, locks, reports",
    ("study/worker.py", "_report"): "Optuna, storage, locks, reports",
    ("study/worker.py", "on_epoch"): "Optuna, storage, locks, reports",
    ("study/storage.py", "suggest"): "Optuna, storage, locks, reports",
    ("study/place.py", "open_place"): "Optuna, storage, locks, reports",
    ("study/place.py", "_begin"): "Optuna, storage, locks, reports",
    ("study/place.py", "fetch_ended"): "Optuna, storage, locks, reports",
}
"""Where a function lies, its name, and what it is part of."""
WORK = (
    "training",
    "validation after each epoch",
    "hardening, distilling, scores of each step",
    "norms and scores of the references",
)
"""What a study is run for: training networks and scoring them."""
REST = "all else"
IMPORTS = "libraries that are first imported then (SQLAlchemy, Alembic)"


@dataclass
class Sampler:
    """Counts what part of the code is at work, at even steps of processor time, or of the clock."""

    wall: bool = False
    over: threading.Event = field(default_factory=threading.Event)
    counts: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Sampler:
        if self.wall:
            threading.Thread(target=self._look, args=(threading.get_ident(),), daemon=True).start()
            return self
        signal.signal(signal.SIGPROF, self._note)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
        return self

    def _look(self, thread: int) -> None:
        while not self.over.wait(INTERVAL):
            self._note(0, sys._current_frames().get(thread))

    def __exit__(self, *error: object) -> None:
        self.over.set()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        del signum
        last, importing = "", False
        while frame is not None:
            code = frame.f_code
            place = "/".join(Path(code.co_filename).parts[-2:])
            importing |= code.co_filename.startswith("<frozen importlib")
            if "/sfg_nas/" in code.co_filename and not last:
                last = f"{place}: {code.co_name}"
            if (part := PARTS.get((place, code.co_name))) is not None:
                part = IMPORTS if importing and part not in (*WORK, TRACE) else part
                self.counts[part] += 1
                if part not in WORK:
                    self.places[f"{part}: {last}"] += 1
                return
            frame = frame.f_back
        self.counts[REST] += 1
        self.places[f"{REST}: {last}"] += 1


def main() -> None:
    """Run a study under the profiler and print each part's share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", nargs="?", default="studies/digits.yaml")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--where", action="store_true", help="also list where the rest is spent")
    parser.add_argument("--wall", action="store_true", help="by the clock")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    study = load_study(arguments.study, arguments.changes, data_root=arguments.data_root)
    with tempfile.TemporaryDirectory() as folder, Sampler(arguments.wall) as found:
        start, processor = time.perf_counter(), time.process_time()
        run = search(study, runs=Path(folder))
        seconds, processor = time.perf_counter() - start, time.process_time() - processor
        trials = len(run.all)
    total = found.counts.total()
    print(f"{study.config.name}: {trials} trials, {seconds:.1f} s, {processor:.1f} s of processor")
    for part, count in found.counts.most_common():
        print(f"{100 * count / total:7.2f} % ± {100 * count**0.5 / total:.2f}  {part}")
    kept_out = (*WORK, TRACE, IMPORTS)
    rest = sum(count for part, count in found.counts.items() if part not in kept_out)
    for text, more in (
        ("Optuna, storage, files, all else", 0),
        ("the same with the imports", found.counts[IMPORTS]),
        ("the same with the trace", found.counts[TRACE]),
    ):
        rest += more
        print(f"{100 * rest / total:7.2f} % ± {100 * rest**0.5 / total:.2f}  {text}")
    if arguments.where:
        for place, count in found.places.most_common(25):
            print(f"{100 * count / total:7.2f} %  {place}")


if __name__ == "__main__":
    main()
