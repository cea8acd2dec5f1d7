"""Ctrl-C while other processes work: the one that started them answers it, and no other."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def unheard_by_children() -> Iterator[None]:
    """Let processes that are started inside a `with` never hear Ctrl-C, not even while they import.

    A terminal sends it to all of them. What a new process has of its own to ignore it comes after its imports, which
    take seconds; a blocked signal it takes over from the thread that starts it. This thread hears it afterwards.
    """
    resource_tracker.ensure_running()  # unblocks the signal when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
