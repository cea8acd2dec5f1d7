"""The course of a trial on disk: metrics and probabilities, one entry per epoch."""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sfg_nas.allocation import Allocation
from sfg_nas.errors import ArchitectureError, explain
from sfg_nas.sharing import Supernet
from sfg_nas.study.layout import TrialFiles
from sfg_nas.study.scoring import probabilities
from sfg_nas.training import History, write_atomically, write_rows

MAX_BYTES = 512 * 2**20
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    OSError,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    TypeError,
    struct.error,
    tokenize.TokenError,
    MemoryError,
)


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
    """Return the arrays [E + 1, F, G] of each layer; nothing is unpickled, and no size is believed.

    Args:
        path: A trial's `probabilities.npz`.

    Raises:
        ArchitectureError: The file is missing or damaged, or holds something else.
    """
    try:
        with zipfile.ZipFile(path) as file:
            members = file.infolist()
            if sum(member.file_size for member in members) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
            return {
                member.filename.removesuffix(".npy"): _array(file.read(member))
                for member in members
            }
    except (*_DAMAGE, RecursionError) as err:
        raise ArchitectureError(
            explain(
                where=str(path),
                rule="probabilities of a trial are needed",
                found=(str(err) or type(err).__name__)[:200],
                do="restore the file",
            )
        ) from err


def _array(content: bytes) -> NDArray[np.float32]:
    """Return the array in the bytes of a `.npy` file.

    Raises:
        ValueError: They hold something else than probabilities.
    """
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"version {version} of the format")
    shape, transposed, dtype = np.lib.format.read_array_header_1_0(stream)
    data = stream.read()
    if dtype != np.float32 or len(shape) != 3 or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"an array of {dtype} and shape {str(shape)[:60]} in {len(data)} bytes")
    values = np.frombuffer(data, dtype).reshape(shape, order="F" if transposed else "C")
    if not np.isfinite(values).all() or (values < 0).any() or (values > 1 + 1e-4).any():
        raise ValueError("numbers that are no probabilities")
    return np.array(values)


def probability_frame(number: int, files: TrialFiles) -> pd.DataFrame:
    """Return a trial's probabilities, one row per epoch (0 is the start), layer, filter and group.

    Args:
        number: The trial's.
        files: Its files.

    Raises:
        ArchitectureError: If a file is damaged.
    """
    frames = []
    names = None
    for layer, values in read_probabilities(files.probabilities).items():
        epochs, filters, groups = np.indices(values.shape)
        if names is None:
            names = _group_names(files, values.shape[2])
        frames.append(
            pd.DataFrame(
                {
                    "trial": number,
                    "epoch": epochs.ravel(),
                    "layer": layer,
                    "filter": filters.ravel(),
                    "group": np.asarray(names, dtype=object)[groups.ravel()],
                    "p": values.ravel(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _group_names(files: TrialFiles, count: int) -> list[str]:
    """Return the groups' names, known once there is an allocation, else their numbers."""
    if files.allocation.exists():
        return list(Allocation.load(files.allocation).groups.names)
    return [str(index) for index in range(count)]
