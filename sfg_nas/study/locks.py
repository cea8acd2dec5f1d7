"""Locks between the workers of one run; each ends with the process that holds it, however it dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sfg_nas.study.layout import locked


class LostLockError(Exception):
    """A lock is no longer held: what is done under it may be done by someone else by now."""


class Locks(Protocol):
    """Named locks; one object serves one worker at a time."""

    def hold(self, name: str, *, wait: bool = True) -> AbstractContextManager[bool]:
        """Hold a lock inside a `with`, which gives whether it is held; always true with `wait`."""
        ...

    def check(self) -> None:
        """Raise `LostLockError` if what is held may have been lost."""
        ...

    def close(self) -> None:
        """Give up whatever holding locks takes."""
        ...


@dataclass(frozen=True)
class FileLocks:
    """Locks between the processes of one machine.

    Attributes:
        folder: Where the files lie that are locked.
    """

    folder: Path

    @contextmanager
    def hold(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold a lock inside a `with`, which gives whether it is held.

        Args:
            name: What is locked.
            wait: Whether to wait for another holder.
        """
        with locked(self.folder / name, wait=wait) as held:
            yield held

    def check(self) -> None:
        """Do nothing: the system keeps a file's lock as long as its holder lives."""

    def close(self) -> None:
        """Do nothing: each lock closes its own file."""
