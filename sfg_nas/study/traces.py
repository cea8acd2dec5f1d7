"""Traces that a study has made already: networks that are alike but for their weights have the same operations."""

from __future__ import annotations

from collections.abc import Hashable

from torch import Tensor

from sfg_nas.sharing import BackboneWithHeads, TracedNetwork, Tracer, trace
from sfg_nas.study.makeup import makeup
from sfg_nas.study.remembered import Remembered


class Traces(Remembered[TracedNetwork]):
    """Traces by what the network was made from, or is made of."""

    def tracer(self, key: Hashable) -> Tracer:
        """Return what traces a network unless one of this key was traced before.

        Args:
            key: All that the operations of the network depend on; its weights must not be among them.
        """

        def traced(network: BackboneWithHeads, example: Tensor) -> TracedNetwork:
            return self.once(key, lambda: trace(network, example))

        return traced

    def of_alike(self, network: BackboneWithHeads, example: Tensor) -> TracedNetwork:
        """Return the trace of a network, perhaps of one of the same makeup that was traced before.

        Args:
            network: Backbone and heads of the user's own, which may differ each time.
            example: An input.
        """
        made_of = makeup(network)
        if made_of is None:
            return trace(network, example)
        key = (made_of, tuple(example.shape[1:]), example.dtype)
        return self.once(key, lambda: trace(network, example), keep=lambda traced: traced.lasting)
