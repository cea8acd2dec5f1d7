"""What a network that reads volumes needs to know about those it has never seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn, Self

from sfg_nas.errors import DataError, explain

_MOST = 1 << 12
"""Voxels along a side of a patch, and mm of a voxel: beyond what any file of ours holds."""


@dataclass(frozen=True)
class VolumeSettings:
    """How volumes are prepared and cut.

    Attributes:
        spacing: Of the common grid along the axes to the right, the front and the head, in mm.
        patch: Size of a window in voxels, `[X, Y]` of one slice or `[X, Y, Z]`.
        organs: Names with their numbers in label maps; the class of one is its place here, from 1.
    """

    spacing: tuple[float, float, float]
    patch: tuple[int, ...]
    organs: Mapping[str, int]

    def to_json(self) -> dict[str, object]:
        """Return what `from_json` takes."""
        return {
            "spacing": list(self.spacing),
            "patch": list(self.patch),
            "organs": dict(self.organs),
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> Self:
        """Return the settings in a file.

        Args:
            value: From `to_json`.
            where: The file and key, for the message.

        Raises:
            DataError: If they are something else.
        """
        if not isinstance(value, dict) or set(value) != {"spacing", "patch", "organs"}:
            _refuse(where, "`spacing`, `patch` and `organs`", value)
        spacing, patch, organs = value["spacing"], value["patch"], value["organs"]
        if not _numbers(spacing, 3, 3):
            _refuse(where, "a spacing of three numbers above 0", spacing)
        if not _numbers(patch, 2, 3) or not all(type(side) is int for side in patch):
            _refuse(where, "a patch of two or three numbers above 0", patch)
        sound = isinstance(organs, dict) and all(
            type(number) is int and 0 < number < 1 << 15 for number in organs.values()
        )
        if not sound or len(set(organs.values())) < len(organs):
            _refuse(where, "organs with different numbers above 0", organs)
        return cls((*map(float, spacing),), tuple(patch), dict(organs))  # type: ignore[arg-type]


def _numbers(value: object, fewest: int, most: int) -> bool:
    return (
        isinstance(value, list)
        and fewest <= len(value) <= most
        and all(type(v) in (int, float) and math.isfinite(v) and 0 < v <= _MOST for v in value)
    )


def _refuse(where: str, rule: str, found: object) -> NoReturn:
    do = "use the file that `sfg-nas retrain` wrote beside the network"
    text = explain(where=where, rule=f"{rule} must stand here", found=str(found)[:80], do=do)
    raise DataError(text)
