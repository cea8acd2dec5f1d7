"""How the C library keeps memory between training steps."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3), as in malloc.h
_LARGEST = 2**31 - 1
_LARGEST_MMAP = 32 * 2**20
"""Bytes, where a C library takes no more."""


def keep_freed_memory() -> bool:
    """Let this process keep memory that it has freed, for what it allocates next.

    By default the GNU C library gives large blocks back to the system as soon as they are free. A training step
    allocates the same blocks as the one before, and every page of them is then mapped and cleared again: 3 to 12 % of
    the time of a step (`benchmarks/README.md`). The peak of the memory stays about the same; what the
    peak was is kept until the process ends. For processes that are this package's own: commands and workers.

    Returns:
        Whether the C library could be told; only that of GNU on Linux can.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mapped = mallopt(_MMAP_THRESHOLD, _LARGEST) or mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP)
    return bool(mapped) and bool(mallopt(_TRIM_THRESHOLD, _LARGEST))
