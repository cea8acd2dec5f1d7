"""A study's network is traced once for each size, and a user's own each time."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from sfg_nas.sharing import BackboneWithHeads, TracedNetwork, trace
from sfg_nas.study import Study, remembered, traces
from sfg_nas.study.own import registered_backbone

Make = Callable[..., Study]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by one with each trace."""
    made: list[int] = []

    def count(network: BackboneWithHeads, example: torch.Tensor) -> TracedNetwork:
        made.append(len(made))
        return trace(network, example)

    monkeypatch.setattr(traces, "trace", count)
    monkeypatch.setattr("sfg_nas.study.study.trace", count)
    return made


@pytest.fixture
def study(make_study: Make) -> Study:
    made = replace(make_study(), backbone=registered_backbone)
    size = {"kind": "vgg11", "width": 0.125, "depth": 2}
    backbone = made.config.backbone.model_copy(update=size)
    return replace(made, config=made.config.model_copy(update={"backbone": backbone}))


def sized(study: Study, **size: object) -> Study:
    config = study.config
    backbone = config.backbone.model_copy(update=size)
    return replace(study, config=config.model_copy(update={"backbone": backbone}))


def test_trials_of_one_size_share_a_trace_and_nothing_else(
    study: Study, counted: list[int]
) -> None:
    images = torch.randn(4, *study.data.image_shape)
    first = study.make_supernet(study.config, seed=1)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(1.0)  # as training would
    second = study.make_supernet(study.config, seed=2)
    assert len(counted) == 1
    fresh = replace(study)  # knows no trace
    expected = fresh.make_supernet(study.config, seed=2)
    assert len(counted) == 2
    outputs, wanted = second(images), expected(images)
    assert all(torch.equal(outputs[task], wanted[task]) for task in wanted)
    assert second.allocation() == expected.allocation()


def test_another_size_or_preset_is_traced_anew(study: Study, counted: list[int]) -> None:
    for size in ({}, {"width": 0.25}, {"depth": 3}, {}):
        study.make_supernet(sized(study, **size).config, seed=0)
    assert len(counted) == 3
    published = study.config.sharing.model_copy(update={"preset": "iccv2019", "relaxation": None})
    study.make_supernet(study.config.model_copy(update={"sharing": published}), seed=0)
    assert len(counted) == 4


def test_no_more_are_kept_than_said(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST", 1)
    for depth in (2, 3):
        study.make_supernet(sized(study, depth=depth).config, seed=0)
    assert len(study.traces._known) == 1


def test_a_users_own_network_is_traced_each_time(make_study: Make, counted: list[int]) -> None:
    own = make_study()
    for seed in (0, 1):
        own.make_supernet(own.config, seed=seed)
    assert len(counted) == 2


def test_another_process_begins_with_none(study: Study) -> None:
    study.make_supernet(study.config, seed=0)
    assert study.traces._known
    assert not pickle.loads(pickle.dumps(study)).traces._known  # noqa: S301
