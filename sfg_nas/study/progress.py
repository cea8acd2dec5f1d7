"""What long work tells whoever watches it; printing is the command line's part."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal


@dataclass(frozen=True)
class Progress:
    """One report.

    Attributes:
        stage: What is being done.
        done: Trials (or networks) that are finished, however they ended.
        total: How many there will be.
        epoch: Finished epochs of the present one, or 0.
        epochs: Its epochs in all, or 0.
        text: One line for a reader, empty for a mere epoch.
        values: The present row of metrics, or the finished trial's objectives.
        trial: The trial that is reported, or None.
        counts: Trials by state, over all workers: complete, running, pruned, failed.
        best: The best value of the first objective so far, or None.
        seconds_left: An estimate of the time until all trials are done, or None.
        workers: Processes that work here.
    """

    stage: Literal["references", "search", "finals", "retrain", "compare"]
    done: int
    total: int
    epoch: int = 0
    epochs: int = 0
    text: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    trial: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    best: float | None = None
    seconds_left: float | None = None
    workers: int = 1

    def after(self, rows: Sequence[Mapping[str, float]], epochs: int) -> Progress:
        """Return the same report after some epochs of the present training.

        Args:
            rows: Metrics of each finished epoch, at least one.
            epochs: Its epochs in all.
        """
        return replace(self, epoch=len(rows), epochs=epochs, values=rows[-1])


ProgressCallback = Callable[[Progress], None]


def silent(report: Progress) -> None:
    """Do nothing with a report."""
    del report


class Clock:
    """Estimates how long a search still takes, from how far it came in this sitting."""

    def __init__(self) -> None:
        """Start with the first report."""
        self._start: tuple[float, float] | None = None

    def seconds_left(self, trials_done: float, total: int) -> float | None:
        """Return the estimate, or None as long as nothing is done.

        Args:
            trials_done: Ended trials, whoever ended them, and the done parts of running ones.
            total: Trials in all.
        """
        now = time.monotonic()
        if self._start is None:
            self._start = (now, trials_done)
        began, before = self._start
        if trials_done <= before:
            return None
        return max(total - trials_done, 0.0) * (now - began) / (trials_done - before)
