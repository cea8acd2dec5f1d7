"""Long work as a person sees it: bars on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sfg_nas.cli.options import Common
from sfg_nas.cli.output import note

if TYPE_CHECKING:
    from sfg_nas.study import Progress

Report = Callable[["Progress"], None]
SECONDS_BETWEEN_LINES = 15.0


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

    def __call__(self, report: Progress) -> None:
        now = time.monotonic()
        if report.text and report.text != self._text:
            self._text = report.text
            note(f"[{report.done}/{report.total}] {report.stage}: {report.text}")
        elif report.epoch and now - self._last >= SECONDS_BETWEEN_LINES:
            note(f"[{report.done}/{report.total}] {report.stage}: {_epoch(report)}")
        else:
            return
        self._last = now


@contextmanager
def _bars() -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        whole = bars.add_task("start", total=None, text="")
        epochs = bars.add_task("epochs", total=None, text="")

        def report(progress: object) -> None:
            from sfg_nas.study import Progress as Reported

            if not isinstance(progress, Reported):
                raise TypeError(progress)
            if progress.text and progress.stage == "search":
                bars.console.print(progress.text, markup=False, highlight=False)
            bars.update(
                whole,
                description=progress.stage,
                completed=progress.done,
                total=progress.total,
                text=progress.text if progress.stage == "retrain" else "",
            )
            bars.update(
                epochs,
                completed=progress.epoch,
                total=progress.epochs or None,
                text=_values(progress) if progress.epoch else "",
            )

        yield report


def _epoch(report: Progress) -> str:
    return f"epoch {report.epoch} of {report.epochs} {_values(report)}".rstrip()


def _values(report: Progress) -> str:
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


def _ignore(report: Progress) -> None:
    del report
