"""Traces that a study has made already: networks of one kind, width and depth have the same operations."""

from __future__ import annotations

from collections.abc import Hashable

from torch import Tensor

from sfg_nas.sharing import BackboneWithHeads, TracedNetwork, Tracer, trace
from sfg_nas.study.remembered import Remembered


class Traces(Remembered[TracedNetwork]):
    """Traces by what the network was made from."""

    def tracer(self, key: Hashable) -> Tracer:
        """Return what traces a network unless one of this key was traced before.

        Args:
            key: All that the operations of the network depend on; its weights must not be among them.
        """

        def traced(network: BackboneWithHeads, example: Tensor) -> TracedNetwork:
            return self.once(key, lambda: trace(network, example))

        return traced
