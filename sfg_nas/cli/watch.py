"""Long work as a person sees it: bars on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sfg_nas.cli.options import Common
from sfg_nas.cli.output import note

if TYPE_CHECKING:
    from sfg_nas.study import Progress as Reported

Report = Callable[["Reported"], None]
SECONDS_BETWEEN_LINES = 15.0
BAR_WIDTH = 24
"""Characters; with it a bar and its numbers fit on 80."""


@contextmanager
def watching(common: Common) -> Iterator[Report]:
    """Yield a callback for the reports of a search or a retraining.

    Args:
        common: The shared options.
    """
    if common.quiet:
        yield _ignore
    elif sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _Lines()


class _Lines:
    """Writes what ended at once, and epochs only when nothing was written for a while."""

    def __init__(self) -> None:
        self._last = 0.0
        self._text = ""

    def __call__(self, report: Reported) -> None:
        now = time.monotonic()
        if report.text and report.text != self._text:
            self._text = report.text
            note(f"[{report.done}/{report.total}] {report.stage}: {report.text}{_all(report)}")
        elif report.epoch and now - self._last >= SECONDS_BETWEEN_LINES:
            note(f"[{report.done}/{report.total}] {report.stage}: {_epoch(report)}{_all(report)}")
        else:
            return
        self._last = now


@contextmanager
def _bars() -> Iterator[Report]:
    from rich.console import Console, RenderableType
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.text import Text

    class Bars(Progress):
        """Two bars, and below them a line that may be as wide as the terminal, or fold."""

        line = ""

        def get_renderables(self) -> Iterable[RenderableType]:
            yield self.make_tasks_table(self.tasks)
            yield Text(self.line)

    columns = (
        TextColumn("{task.description}"),
        BarColumn(BAR_WIDTH),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        whole = bars.add_task("start", total=None, text="")
        epochs = bars.add_task("epochs", total=None, text="")

        def report(progress: Reported) -> None:
            if progress.text and progress.stage in ("references", "search"):
                bars.console.print(progress.text, markup=False, highlight=False)
            words = (progress.text, _left(progress))
            bars.line = summary(progress) if progress.counts else "; ".join(filter(None, words))
            bars.update(
                whole,
                description=progress.stage,
                completed=progress.done,
                total=progress.total,
            )
            bars.update(
                epochs,
                description=_whose_epochs(progress),
                completed=progress.epoch,
                total=progress.epochs or None,
                text=_values(progress) if progress.epoch else "",
            )

        yield report


def summary(report: Reported) -> str:
    """Return the state of all trials in a line: how many ended and how, the best, the time that is left.

    Args:
        report: A report with counts.
    """
    names = {"complete": "done"}
    states = ("complete", "running", "pruned", "failed")
    parts = [f"{report.counts.get(state, 0)} {names.get(state, state)}" for state in states]
    text = ", ".join(parts)
    if report.best is not None:
        text += f"; best {report.best:.5g}"
    if report.seconds_left is not None:
        text += f"; {_left(report)}"
    return text


def duration(seconds: float) -> str:
    """Return a time as hours, minutes and seconds, such as `1:02:03`.

    Args:
        seconds: The time.
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _all(report: Reported) -> str:
    words = summary(report) if report.counts else _left(report)
    return f"  ({words})" if words else ""


def _left(report: Reported) -> str:
    return "" if report.seconds_left is None else f"about {duration(report.seconds_left)} left"


def _epoch(report: Reported) -> str:
    if report.workers > 1:
        return f"epochs {report.epoch} of {report.epochs} in {report.workers} workers"
    return f"epoch {report.epoch} of {report.epochs} {_values(report)}".rstrip()


def _whose_epochs(report: Reported) -> str:
    return f"epochs ({report.workers} workers)" if report.workers > 1 else "epochs"


def _values(report: Reported) -> str:
    chosen = {name: value for name, value in report.values.items() if name in {"loss", "score"}}
    return " ".join(f"{name} {value:.4g}" for name, value in chosen.items())


@contextmanager
def decoding(common: Common) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback for (images done, images in all) while images are decoded.

    Args:
        common: The shared options.
    """
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES / 3:
            last = now
            note(f"decoding images: {done} of {total}", common)

    yield report


def _ignore(report: Reported) -> None:
    del report
