"""A study's network is traced once for each size, and a user's own once for each makeup."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from sfg_nas.sharing import BackboneWithHeads, TracedNetwork, trace
from sfg_nas.study import Study, remembered, traces
from sfg_nas.study.makeup import makeup
from sfg_nas.study.own import registered_backbone
from tests.conversions import one_group

Make = Callable[..., Study]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by one with each trace."""
    made: list[int] = []

    def count(network: BackboneWithHeads, example: torch.Tensor) -> TracedNetwork:
        made.append(len(made))
        return trace(network, example)

    monkeypatch.setattr(traces, "trace", count)
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


class Picked(nn.Module):
    """Filters in an order that stands in a buffer, or is computed from a weight."""

    def __init__(self, order: torch.Tensor | None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1)
        self.register_buffer("order", order, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        order = self.order if self.order is not None else self.conv.bias.argsort()
        return self.conv(x)[:, order]


def test_a_users_own_network_is_traced_once_while_it_is_made_alike(
    make_study: Make, counted: list[int]
) -> None:
    own = make_study()
    first, second = (own.make_supernet(own.config, seed=seed) for seed in (0, 1))
    assert len(counted) == 1
    expected = make_study().make_supernet(own.config, seed=1)
    images = torch.randn(4, *own.data.image_shape)
    outputs, wanted = second(images), expected(images)
    assert all(torch.equal(outputs[task], wanted[task]) for task in wanted)
    assert not torch.equal(first(images)["level"], outputs["level"])


def layers(*more: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), *more)


def hooked() -> nn.Module:
    made = layers()
    made.register_forward_hook(lambda _, __, y: 2 * y)
    return made


def shared() -> nn.Module:
    conv = nn.Conv2d(6, 6, 1)
    return layers(conv, conv)


PAIRS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "classes": (lambda: layers(nn.ReLU()), lambda: layers(nn.GELU())),
    "attributes": (lambda: layers(nn.LeakyReLU(0.1)), lambda: layers(nn.LeakyReLU(0.2))),
    "shapes": (lambda: layers(nn.Conv2d(6, 4, 1)), lambda: layers(nn.Conv2d(6, 5, 1))),
    "shared modules": (shared, lambda: layers(nn.Conv2d(6, 6, 1), nn.Conv2d(6, 6, 1))),
    "buffers": (
        lambda: Picked(torch.tensor([0, 2, 1, 3, 4, 5])),
        lambda: Picked(torch.tensor([5, 2, 1, 3, 4, 0])),
    ),
    "values of weights": (lambda: Picked(None), lambda: Picked(None)),
    "hooks": (layers, hooked),
    "hooks of both": (hooked, hooked),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_users_own_network_that_differs_is_traced_anew(
    name: str, make_study: Make, counted: list[int]
) -> None:
    makers = iter(PAIRS[name])

    def made() -> nn.Module:
        return next(makers)()

    own = make_study().using(backbone=made)
    images = torch.randn(4, *own.data.image_shape)
    for seed in (0, 1):
        supernet = own.make_supernet(own.config, seed=seed).eval()
        everyone = one_group(supernet, supernet.groups.sets.index(supernet.groups.everyone))
        with torch.no_grad():
            found, plain = supernet.harden(everyone)(images), supernet.network(images)
        assert all(torch.allclose(found[task], plain[task], atol=1e-5) for task in plain)
    assert len(counted) == 2


@pytest.mark.parametrize(
    "value",
    [torch.zeros(2), [nn.ReLU()], {"a": object()}, (lambda y: lambda: y)(1), iter([])],
    ids=["tensor", "modules", "objects", "closure", "iterator"],
)
def test_what_cannot_be_compared_has_no_makeup(value: object) -> None:
    network = layers()
    assert makeup(network) == makeup(layers())
    network.held = value
    assert makeup(network) is None


def test_plain_attributes_count(tmp_path: Path) -> None:
    found = set()
    for value in (
        1,
        1.0,
        True,
        "1",
        b"1",
        (1,),
        [1],
        {1},
        {1: 1},
        {1: 2},
        None,
        len,
        print,
        tmp_path.exists,
    ):
        network = layers()
        network.held = value
        found.add(makeup(network))
    assert len(found) == 14
    assert None in found  # of the bound method


def test_another_process_begins_with_none(study: Study) -> None:
    study.make_supernet(study.config, seed=0)
    assert study.traces._known
    assert not pickle.loads(pickle.dumps(study)).traces._known  # noqa: S301
