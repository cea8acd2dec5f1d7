"""What was found out about networks, by what they are made of, so that it is found out once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

MOST = 16
"""Values that are kept."""
V = TypeVar("V")


class Remembered(Generic[V]):
    """A few values by key. Another process begins with none: graph nodes do not travel."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[Hashable, V] = {}

    def __reduce__(self) -> tuple[type[Remembered[V]], tuple[()]]:
        """Return how to begin with none."""
        return type(self), ()

    def once(
        self, key: Hashable, find: Callable[[], V], *, keep: Callable[[V], bool] = lambda _: True
    ) -> V:
        """Return the value of a key, found if it is not known; the oldest ones are forgotten.

        Args:
            key: All that the value depends on.
            find: Finds it.
            keep: Whether a value that was found is remembered.
        """
        if key not in self._known:
            found = find()
            if not keep(found):
                return found
            while len(self._known) >= MOST:
                self._known.pop(next(iter(self._known)))
            self._known[key] = found
        return self._known[key]
