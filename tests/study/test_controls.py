from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from torch import nn

from sfg_nas.baselines import hard_sharing
from sfg_nas.config import BackboneConfig
from sfg_nas.errors import ConversionError
from sfg_nas.study import Study
from sfg_nas.study.controls import equal_macs_backbone
from sfg_nas.study.networks import macs_of

Make = Callable[..., Study]


def test_equal_macs_are_found_by_width(make_study: Make) -> None:
    study = make_study({"backbone.width": 4.0})
    own = equal_macs_backbone(study, 10**9)
    assert own is None  # no width near the study's own reaches that
    config = study.config.backbone.model_copy(update={"width": 2.0})
    network = hard_sharing(lambda: study.make_backbone(config), study.tasks, (1, 6, 6))
    fitted = equal_macs_backbone(study, macs_of(network, study))
    assert fitted is not None
    assert fitted.width == pytest.approx(2.0, abs=0.1)


def test_a_network_of_one_size_has_no_control_at_equal_macs(make_study: Make) -> None:
    study = make_study()
    fixed, make = study.config.backbone, study.backbone
    study = replace(study, backbone=lambda _, shape: make(fixed, shape))
    own = macs_of(hard_sharing(lambda: study.make_backbone(fixed), study.tasks, (1, 6, 6)), study)
    assert equal_macs_backbone(study, round(own * 0.93)) is None


def test_a_network_that_runs_at_some_widths_only_has_none_either(make_study: Make) -> None:
    study = make_study()
    make = study.backbone

    def sometimes(section: BackboneConfig, shape: Sequence[int]) -> nn.Module:
        if section.width > 1.5:
            raise ConversionError("scale_width: too wide")
        return make(section, shape)

    study = replace(study, backbone=sometimes)
    assert equal_macs_backbone(study, 10) is None
