"""A table that grows row by row in a file, so that what is in it is not run again."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd


class Table:
    """Rows in a CSV file, which is written after each one that is added."""

    def __init__(self, path: Path) -> None:
        """Read what is there.

        Args:
            path: The file; it need not be there yet.
        """
        self._path = path
        self._rows: list[dict[Any, Any]] = (
            pd.read_csv(path).to_dict("records") if path.exists() else []
        )

    def __contains__(self, keys: Mapping[str, object]) -> bool:
        """Return whether a row has these values."""
        return any(all(row.get(k) == v for k, v in keys.items()) for row in self._rows)

    def add(self, *rows: Mapping[str, object]) -> None:
        """Add rows, all of them or, if interrupted, none."""
        self._rows += map(dict, rows)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self.frame().to_csv(self._path, index=False)

    def frame(self) -> pd.DataFrame:
        """Return all rows."""
        return pd.DataFrame(self._rows)


def study_table_and_seeds(seeds: Iterable[int]) -> argparse.Namespace:
    """Return what the command line gives: `study`, `table` and `seeds`.

    Args:
        seeds: Where it names none.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("study", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("seeds", type=int, nargs="*", default=list(seeds))
    return parser.parse_args()
