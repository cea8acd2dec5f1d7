"""Scalars of a run's trials for TensorBoard, where that is installed: beside what the contract says, never read back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_COUNTERS = ("epoch", "step")


def is_installed() -> bool:
    """Return whether the extra `tensorboard` is there."""
    return find_spec("tensorboard") is not None


class Scalars:
    """Writes each column of a trial's epochs as a scalar, with the epoch as its step.

    A process that goes on with a trial writes all of its epochs anew: what the one before it had left to write is not
    known.
    """

    def __init__(self, folder: Path) -> None:
        """Keep the folder; nothing is written before the first epoch.

        Args:
            folder: Of the trial's events.
        """
        self._folder = folder
        self._writer: SummaryWriter | None = None
        self._written = 0

    def write(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write the epochs that were not written yet.

        Args:
            rows: One per epoch, from the first.
        """
        if not is_installed():
            return
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            shutil.rmtree(self._folder, ignore_errors=True)
            self._writer = SummaryWriter(str(self._folder))
        for row in rows[self._written :]:
            for name, value in row.items():
                if name not in _COUNTERS:
                    self._writer.add_scalar(name, value, int(row["epoch"]))
        self._written = len(rows)
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()


@contextmanager
def scalars(folder: Path) -> Iterator[Scalars]:
    """Give the scalars of a trial, for a `with`.

    Args:
        folder: Of the trial's events.
    """
    found = Scalars(folder)
    try:
        yield found
    finally:
        found.close()
