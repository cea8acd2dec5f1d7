"""Networks of one size at other widths: how they follow their channels is found out once for each kind of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import nn

from sfg_nas.sharing import WidthPlan

MOST = 16
"""Networks that are remembered."""


class Widths:
    """Plans by what a network is made of. Another process begins with none."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[Hashable, WidthPlan] = {}

    def __reduce__(self) -> tuple[type[Widths], tuple[()]]:
        """Return how to begin with none: graph nodes do not travel."""
        return Widths, ()

    def scaled(
        self,
        backbone: nn.Module,
        width: float,
        image_shape: Sequence[int],
        *,
        keep_weights: bool = False,
    ) -> nn.Module:
        """Return a backbone with another number of filters in every layer, as `scale_width` does.

        Args:
            backbone: Not changed.
            width: Factor on the filters of each layer.
            image_shape: C, H, W (or C, D, H, W).
            keep_weights: As for `scale_width`.

        Raises:
            ConversionError: It does not run with other sizes.
        """
        shapes = tuple((name, value.shape) for name, value in backbone.state_dict().items())
        key = (repr(backbone), shapes, tuple(image_shape))
        if key not in self._known:
            found = WidthPlan.of(backbone, torch.zeros(2, *image_shape))
            while len(self._known) >= MOST:
                self._known.pop(next(iter(self._known)))
            self._known[key] = found
        return self._known[key].made(backbone, width, keep_weights=keep_weights)
