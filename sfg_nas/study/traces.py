"""Traces that a study has made already: networks of one kind, width and depth have the same operations."""

from __future__ import annotations

from collections.abc import Hashable

from torch import Tensor

from sfg_nas.sharing import BackboneWithHeads, TracedNetwork, Tracer, trace

MOST = 16
"""Traces that are kept."""


class Traces:
    """Traces by what the network was made from. Another process begins with none."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[Hashable, TracedNetwork] = {}

    def __reduce__(self) -> tuple[type[Traces], tuple[()]]:
        """Return how to begin with none: graph nodes do not travel."""
        return Traces, ()

    def tracer(self, key: Hashable) -> Tracer:
        """Return what traces a network unless one of this key was traced before.

        Args:
            key: All that the operations of the network depend on; its weights must not be among them.
        """

        def traced(network: BackboneWithHeads, example: Tensor) -> TracedNetwork:
            if key not in self._known:
                found = trace(network, example)
                while len(self._known) >= MOST:
                    self._known.pop(next(iter(self._known)))
                self._known[key] = found
            return self._known[key]

        return traced
