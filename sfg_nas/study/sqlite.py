"""How a run's SQLite file is written: with a log ahead of it on a disk of this machine, as it comes elsewhere."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

PATIENCE = 120.0
"""Seconds that a connection waits for others that write."""
LOCAL = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "tmpfs", "overlay"}
)
"""File systems of one machine's own disks. The log needs memory that all who open the file share, so over a network it
would do harm."""
MOUNTS = Path("/proc/self/mounts")


class Logged(sqlite3.Connection):
    """A connection with a write-ahead log, whose commits do not wait for the disk.

    A killed process loses nothing. A failure of power may take the last moments, and never harms the file
    (https://www.sqlite.org/wal.html): a trial is then run again from its last checkpoint. With the plain journal each
    commit waits four times for the disk, which cost a study of short trials 4 % of its time.
    """

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        with suppress(sqlite3.OperationalError):  # a worker without the log is at work on it
            if self.execute("pragma journal_mode = wal").fetchone()[0] == "wal":
                self.execute("pragma synchronous = normal")


def connection_options(database: Path) -> dict[str, object]:
    """Return what `sqlite3.connect` is given for a file.

    Args:
        database: The file; it need not exist.
    """
    options: dict[str, object] = {"timeout": PATIENCE}
    return options | {"factory": Logged} if file_system(database) in LOCAL else options


def file_system(path: Path) -> str:
    """Return the kind of the file system that a path lies on, empty where that cannot be told (not Linux).

    Args:
        path: It need not exist.
    """
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    whole = path.resolve()
    found = {}
    for line in lines:
        _, place, kind, *_ = line.split(" ")
        place = place.replace("\\040", " ")
        if whole.is_relative_to(place):
            found[len(place)] = kind  # a later mount lies over an earlier one
    return found[max(found)] if found else ""


def fold(database: Path) -> None:
    """Bring what is in the log into the file, if nobody else has it open, so that it is whole by itself again.

    Args:
        database: The file.
    """
    if not database.exists():
        return
    with suppress(sqlite3.Error):
        connection = sqlite3.connect(database, timeout=0)
        try:
            connection.execute("pragma journal_mode = delete")
        finally:
            connection.close()
