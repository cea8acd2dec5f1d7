"""What the pixels of a label image stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Pixels = NDArray[Any]
"""A label image as it is stored, `[H, W, C]`: bytes, other whole numbers, or numbers with a point."""


@dataclass(frozen=True)
class Encoding:
    """How a task's label images are to be read, and written.

    Attributes:
        values: The pixel of each class, in their order: whole numbers, or colours such as `#ff8000`; none for 0, 1, 2, ...
        missing: Pixels that say nothing; none for what is usual in the task's kind.
        factor: What a pixel is multiplied by to be in the task's unit.
    """

    values: tuple[int | str, ...] = ()
    missing: tuple[float | str, ...] = ()
    factor: float = 1.0

    @property
    def coloured(self) -> bool:
        """Tell whether classes are colours."""
        return any(isinstance(value, str) for value in self.values)
