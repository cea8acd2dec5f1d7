"""The shipped study, on its own settings: roles over the frozen banks, and what is shared at both ends of the dial."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfg_nas.study import Study, load_study
from sfg_nas.study.planted import again, searched, shared_fraction
from sfg_nas.study.planted import report as module

STUDY = Path(__file__).resolve().parents[3] / "studies/planted.yaml"
APART = 0.1
"""By how much more a search shares where all is common than where nothing is; a broken one does not."""


def shared(study: Study, relatedness: float) -> float:
    return shared_fraction(searched(again(study, seed=0, relatedness=relatedness), seed=0))


@pytest.mark.slow
def test_learned_filters_share_what_is_common_and_nothing_else() -> None:
    study = load_study(STUDY)
    assert shared(study, 1.0) > shared(study, 0.0) + APART


@pytest.mark.slow
def test_frozen_assignments_do_not_follow_the_dial() -> None:
    study = load_study(STUDY, {"training.epochs": 1, "sharing.warmup_epochs": 0.99})
    assert abs(shared(study, 1.0) - shared(study, 0.0)) < APART / 2


@pytest.mark.ci
@pytest.mark.parametrize("bank", ["connections", "lattice"])
def test_the_shipped_study_finds_the_roles(bank: str) -> None:
    scores = module._bank(load_study(STUDY), module.BANKS[bank], 0)
    assert scores["auroc"] >= 0.9, scores
