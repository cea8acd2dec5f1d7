"""How a run's files come home from workers that do not share its directory."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Courier(Protocol):
    """Carries files of a run directory to where all workers find them, and back."""

    def send(self, path: Path) -> None:
        """Take a file, or the files of a folder that changed since they were last sent."""
        ...

    def fetch(self, path: Path) -> None:
        """Bring a file, or all files of a folder, that differ from those here; a `state.json` last."""
        ...

    def drop(self, path: Path) -> None:
        """Forget a file that is no longer needed."""
        ...

    def close(self) -> None:
        """End the connection to where the files are kept."""
        ...


class SharedFolder:
    """The courier of workers that share the run directory: there is nothing to carry."""

    def send(self, path: Path) -> None:
        """Do nothing."""

    def fetch(self, path: Path) -> None:
        """Do nothing."""

    def drop(self, path: Path) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
