"""Where a data set is read from and where its cache goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sfg_nas.errors import DataError, explain

Progress = Callable[[int, int], None]
"""Called with the number of images done and the number of all."""


@dataclass(frozen=True)
class Location:
    """Folders of this machine.

    Attributes:
        root: The folder that holds the data sets, each in its own folder or files.
        cache: The folder for decoded images; None for `~/.cache/sfg_nas`.
        progress: Told how far long work is.
        beside: The folder of the study file, which a table's path may be relative to.
    """

    root: Path | None = None
    cache: Path | None = None
    progress: Progress | None = None
    beside: Path | None = None

    @classmethod
    def at(
        cls,
        root: str | Path | None = None,
        cache: str | Path | None = None,
        progress: Progress | None = None,
        beside: str | Path | None = None,
    ) -> Self:
        """Return a location whose folders may be given as texts."""
        places = (None if place is None else Path(place) for place in (root, cache, beside))
        root, cache, beside = places
        return cls(root, cache, progress, beside)

    def folder(self, name: str) -> Path:
        """Return the existing folder `name` below the root.

        Raises:
            DataError: If there is no root or no such folder.
        """
        if self.root is None:
            raise DataError(
                explain(
                    where=f"data set {name}",
                    rule="it is read from a folder below the data root",
                    found="no data root",
                    do=f"pass the folder that holds {name!r} as the data root (--data-root)",
                )
            )
        path = Path(self.root) / name
        if not path.is_dir():
            raise DataError(
                explain(
                    where=str(path),
                    rule=f"the data set {name} is read from this folder",
                    found="no such folder",
                    do=f"pass the folder that holds {name!r} as the data root (--data-root)",
                )
            )
        return path

    def cache_folder(self) -> Path:
        """Return the folder for decoded images; it need not exist yet."""
        return self.cache if self.cache is not None else Path.home() / ".cache" / "sfg_nas"
