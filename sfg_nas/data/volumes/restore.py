"""From a prediction on the common grid back to a file in the subject's own space."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfg_nas.data.volumes.extra import medical
from sfg_nas.data.volumes.files import read_volume, write_volume
from sfg_nas.data.volumes.patches import CT
from sfg_nas.data.volumes.prepare import PreparedMR, on_grid_of, prepare_mr
from sfg_nas.data.volumes.scans import AIR

_LEAST, _MOST = -32768, 32767


class Scan:
    """An MR that no data set holds: prepared for a network, and what leads back to its file."""

    def __init__(self, path: Path, spacing: tuple[float, float, float]) -> None:
        """Read and prepare a file.

        Args:
            path: A NIfTI file.
            spacing: Of the network's grid, in mm.

        Raises:
            ConfigError: If the extra `medical` is missing.
            DataError: If the file cannot be read or shows nothing.
        """
        values, self.affine = read_volume(path, path.name)
        self.path, self.shape = path, values.shape
        self.prepared: PreparedMR = prepare_mr(values, self.affine, spacing, path.name, path)

    def own_space(self, values: NDArray[Any], *, labels: bool, outside: float) -> NDArray[Any]:
        """Return a prediction on the file's grid, as whole numbers of 16 bits.

        Args:
            values: On the common grid, `[X, Y, Z]`; it is changed.
            labels: Whether they are labels, so that the nearest one is taken rather than a mean.
            outside: What stands outside the body.
        """
        values[~self.prepared.body] = outside
        found = on_grid_of(values, self.prepared.affine, self.shape, self.affine, nearest=labels)
        return np.clip(np.rint(found), _LEAST, _MOST).astype(np.int16)

    def write(self, task: str, values: NDArray[Any], organs: Mapping[str, int], path: Path) -> None:
        """Write a task's prediction in the space of the file: HU, or the label map's numbers.

        Args:
            task: `ct` or `organs`.
            values: HU, or classes, on the common grid, `[X, Y, Z]`; they are changed.
            organs: Names with their numbers in label maps, in the order of the classes from 1.
            path: The file to write.
        """
        if task == CT:
            found = self.own_space(values, labels=False, outside=AIR)
        else:
            numbers = np.array([0, *organs.values()], dtype=np.int16)
            found = self.own_space(numbers[values], labels=True, outside=0)
        write_volume(path, found, self.affine, _header(self.path))


def _header(path: Path) -> Any:  # noqa: ANN401 (nibabel's header)
    """Return a file's header if it is that of a NIfTI-1 file, else None."""
    nibabel = medical("nibabel")
    header = nibabel.load(path).header
    kept = header.copy() if type(header) is nibabel.Nifti1Header else None
    if kept is not None:
        kept.extensions.clear()  # they may name the patient
        kept["descrip"] = kept["aux_file"] = kept["db_name"] = b""
    return kept


def read_scan(path: Path, spacing: tuple[float, float, float]) -> Scan:
    """Return an MR that no data set holds, prepared for a network; see `Scan`.

    Args:
        path: A NIfTI file.
        spacing: Of the network's grid, in mm.

    Raises:
        ConfigError: If the extra `medical` is missing.
        DataError: If the file cannot be read or shows nothing.
    """
    return Scan(path, spacing)
