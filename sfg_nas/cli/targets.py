"""Where a command shall write, checked before its work is done."""

from __future__ import annotations

import os
from pathlib import Path

from sfg_nas.errors import ConfigError, explain


def check_target(path: Path, where: str = "--to") -> None:
    """Refuse a file or folder that cannot be written.

    Args:
        path: Need not exist; the folders above it are made when it is written.
        where: The option.

    Raises:
        ConfigError: If what it would lie in is no folder, or the system does not allow it.
    """
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    above = there != path
    if above and not there.is_dir():
        rule, found = "what it lies in must be a folder", f"the file {there}"
        raise ConfigError(explain(where=where, rule=rule, found=found, do="give another path"))
    if not os.access(there, os.W_OK):
        rule, found = "a place that may be written is needed", f"{there}, which may not"
        do = "give another path, or change its permissions"
        raise ConfigError(explain(where=where, rule=rule, found=found, do=do))
