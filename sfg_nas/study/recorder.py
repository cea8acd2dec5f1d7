"""The course of a trial on disk: metrics and probabilities, one entry per epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfg_nas.sharing import Supernet
from sfg_nas.study.layout import TrialFiles
from sfg_nas.study.scoring import probabilities
from sfg_nas.training import History, write_atomically, write_rows


class Recorder:
    """Writes `metrics.csv` and `probabilities.npz`; writing an epoch twice does no harm."""

    def __init__(self, files: TrialFiles, supernet: Supernet) -> None:
        """Take up what an earlier process wrote, or note the probabilities at the start.

        Args:
            files: The trial's files.
            supernet: Whose probabilities are recorded.
        """
        self._files, self._supernet = files, supernet
        self._course: dict[str, list[NDArray[np.float32]]] = {}
        if files.checkpoint.exists() and files.probabilities.exists():
            stored = read_probabilities(files.probabilities)
            self._course = {name: list(values) for name, values in stored.items()}
        else:
            self._note(0)

    def __call__(self, history: History) -> None:
        """Write what is known after the last epoch of a history."""
        self._note(len(history.rows))
        write_rows(self._files.metrics, history.rows)
        arrays = {name: np.stack(values) for name, values in self._course.items()}
        write_atomically(self._files.probabilities, lambda path: _write_npz(path, arrays))

    def _note(self, epoch: int) -> None:
        for name, p in probabilities(self._supernet).items():
            values = self._course.setdefault(name, [])
            values[epoch:] = [p.numpy().copy()]


def _write_npz(path: Path, arrays: dict[str, NDArray[np.float32]]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_probabilities(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the arrays [E + 1, F, G] of each layer.

    Args:
        path: A trial's `probabilities.npz`.
    """
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
