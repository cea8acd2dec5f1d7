"""A key for the content of files that is honest and costs little the second time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

Stamp = tuple[int, int, int]
"""Size in bytes, time of the last change of the content and of the entry, both in nanoseconds."""

_UNSETTLED_NS = 2_000_000_000
"""A file changed this shortly before it was read may change again within the clock's step."""

_UNREADABLE = "unreadable: "


def workers() -> int:
    """Return the number of threads that read and decode files."""
    return min(16, os.cpu_count() or 1)


def content_key(
    paths: Sequence[Path],
    settings: str,
    *,
    names: Sequence[str] | None = None,
    memory: Path | None = None,
) -> str:
    """Return the SHA-256 of the names, sizes and bytes of files, and of settings.

    The folder that the files lie in and the order of `paths` do not count.

    Args:
        paths: The files.
        settings: Anything else that decides what is made of the files.
        names: One for each file, all different; None for the names without folders.
        memory: A folder to keep the digests of the single files in. A file whose size and times
            (content and entry, as Git compares them) are those that were kept is not read again.
    """
    named = dict(zip(names or [path.name for path in paths], paths, strict=True))
    digests = _digests(named, memory)
    found = hashlib.sha256(settings.encode())
    for name in sorted(named):
        found.update(f"\0{name}\0{digests[name]}".encode(errors="surrogateescape"))
    return found.hexdigest()


def _digests(files: Mapping[str, Path], memory: Path | None) -> dict[str, str]:
    """Return the digest of each file by its name, from the memory where it holds."""
    first = next(iter(files.values()), None)
    file = None if memory is None or first is None else memory / _memory_name(first.parent)
    kept = _recall(file)
    taken = time.time_ns()
    # Known by path: a name may mean another file the next time, and one of the same size, written in the same moment.
    known = {name: (_stamp(path), str(path.absolute())) for name, path in files.items()}
    digests = {name: kept[key] for name, key in known.items() if key in kept}
    new = {name: path for name, path in files.items() if name not in digests}
    with ThreadPoolExecutor(workers()) as pool:
        digests |= zip(new, pool.map(_digest, new.values()), strict=True)
    if file is not None and new:
        settled = {
            path: (*stamp, digests[name])
            for name, (stamp, path) in known.items()
            if max(stamp[1:]) < taken - _UNSETTLED_NS
            and not digests[name].startswith(_UNREADABLE)  # it may be read the next time
        }
        _remember(file, settled)
    return digests


def _digest(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"{_UNREADABLE}{error.strerror}"
    return f"{len(content)} {hashlib.sha256(content).hexdigest()}"


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return (-1, time.time_ns(), 0)
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _memory_name(folder: Path) -> str:
    return f"digests-{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]}.json"


def _recall(file: Path | None) -> dict[tuple[Stamp, str], str]:
    if file is None:
        return {}
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        return {
            ((size, changed, entry), path): digest
            for path, (size, changed, entry, digest) in stored.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(file: Path, stamps: Mapping[str, tuple[int, int, int, str]]) -> None:
    # Only time is lost without the memory; a folder that cannot be written is reported elsewhere.
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=".partial-", dir=file.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(stamps, stream)
        Path(partial).replace(file)
