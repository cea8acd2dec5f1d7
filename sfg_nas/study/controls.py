"""What a found architecture is set beside, and the width at which hard sharing costs as much as it does."""

from __future__ import annotations

from sfg_nas.baselines import hard_sharing
from sfg_nas.config import BackboneConfig
from sfg_nas.errors import ConversionError
from sfg_nas.study.references import macs_of
from sfg_nas.study.study import Study
from sfg_nas.training import fenced_random_state

EQUAL_MACS = "hard-sharing at equal MACs"
CONTROLS = ("single-task", "hard-sharing", EQUAL_MACS)
"""What a found architecture is set beside."""
_CLOSE = 0.02
"""Networks whose MACs differ by less than this share count as equal."""


def equal_macs_backbone(study: Study, macs: int) -> BackboneConfig | None:
    """Return the study's backbone at the width whose hard sharing costs as much as a network.

    Args:
        study: The study.
        macs: What the network costs for one image.

    Returns:
        The backbone's section, or None if the study's own width already costs that much, or no width does.
    """

    def cost(width: float) -> int:
        config = study.config.backbone.model_copy(update={"width": width})
        with fenced_random_state(0):
            network = hard_sharing(
                lambda: study.make_backbone(config), study.tasks, study.data.image_shape
            )
        return macs_of(network, study)

    own = study.config.backbone.width
    at_own = cost(own)
    if abs(at_own / macs - 1) < _CLOSE:
        return None
    low, high = own / 16, own * 4
    try:
        if cost(low) == at_own:
            return None  # a network of one size: nothing can be narrowed
        for _ in range(14):
            middle = (low + high) / 2
            low, high = (middle, high) if cost(middle) < macs else (low, middle)
        best = min((low, high), key=lambda width: abs(cost(width) - macs))
        if abs(cost(best) / macs - 1) > 5 * _CLOSE:
            return None
    except ConversionError:  # it does not run at one of these widths
        return None
    return study.config.backbone.model_copy(update={"width": round(best, 4)})
