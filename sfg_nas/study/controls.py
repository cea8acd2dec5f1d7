"""What a found architecture is set beside, and the width at which hard sharing costs as much as it does."""

from __future__ import annotations

from sfg_nas.config import BackboneConfig
from sfg_nas.errors import ConversionError
from sfg_nas.study.equal_cost import CLOSE, fit_width
from sfg_nas.study.networks import hard_network, macs_of, scaled_by
from sfg_nas.study.study import Study

EQUAL_MACS = "hard-sharing at equal MACs"
CONTROLS = ("single-task", "hard-sharing", EQUAL_MACS)
"""What a found architecture is set beside."""


def equal_macs_backbone(study: Study, macs: int) -> BackboneConfig | None:
    """Return the study's backbone at the width whose hard sharing costs as much as a network.

    Args:
        study: The study.
        macs: What the network costs for one image.

    Returns:
        The backbone's section, or None if the study's own width already costs that much, or no width does.
    """
    fitted = fitted_backbone(study, macs)
    return None if fitted == study.config.backbone else fitted


def fitted_backbone(study: Study, macs: int) -> BackboneConfig | None:
    """Return the same, or the study's own section if its width already costs that much.

    Args:
        study: The study.
        macs: What the network costs for one image.

    Returns:
        The backbone's section, or None if no width costs that much.
    """
    section = study.config.backbone

    def cost(factor: float) -> int:
        return macs_of(hard_network(study, scaled_by(section, factor), seed=0), study)

    if abs(cost(1.0) / macs - 1) < CLOSE:
        return section
    try:
        fit = fit_width(cost, macs)
    except ConversionError:  # it does not run at one of these widths
        return None
    return None if fit is None else scaled_by(section, fit.factor)
