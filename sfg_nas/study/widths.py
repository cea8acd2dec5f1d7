"""Networks of one size at other widths: how they follow their channels is found out once for each kind of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from sfg_nas.sharing import WidthPlan
from sfg_nas.study.remembered import Remembered


class Widths(Remembered[WidthPlan]):
    """Plans by what a network is made of."""

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
        plan = self.once(key, lambda: WidthPlan.of(backbone, torch.zeros(2, *image_shape)))
        return plan.made(backbone, width, keep_weights=keep_weights)
