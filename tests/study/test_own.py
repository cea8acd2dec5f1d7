"""A network of one's own goes all the way: a module, a class, a function; and what it cannot do is said."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sfg_nas.config import BackboneConfig
from sfg_nas.errors import ConfigError
from sfg_nas.study import load_study, retrain, search
from sfg_nas.study.own import own_backbone
from tests.study.conftest import CONTENT, make_data, two_layers

SECTION = BackboneConfig(kind="mine")


class Net(nn.Module):
    """Two convolutions and a scale that no layer resets."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(1, 6, 3, padding=1)
        self.two = nn.Conv2d(6, 8, 3, padding=1)
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, images: Tensor) -> Tensor:
        """Return features [N, 8, H, W]."""
        return torch.relu(self.two(torch.relu(self.one(images)))) * self.scale


def _three(one: int, two: int, three: int) -> int:
    return one + two + three


def content() -> dict[str, Any]:
    own = deepcopy(CONTENT)
    own["search"] = {"trials": 1, "space": {}}
    own["training"]["epochs"] = 1
    own["retrain"] = {"seeds": 1, "epochs": 1}
    return own


def test_a_module_is_copied_and_gets_new_weights() -> None:
    mine = Net()
    before = mine.one.weight.detach().clone()
    make = own_backbone(mine)
    torch.manual_seed(1)
    first, second = make(SECTION, (1, 6, 6)), make(SECTION, (1, 6, 6))
    torch.manual_seed(1)
    again = make(SECTION, (1, 6, 6))
    assert isinstance(first, Net)
    assert isinstance(second, Net)
    assert isinstance(again, Net)
    assert not torch.equal(first.one.weight, second.one.weight)
    assert torch.equal(first.one.weight, again.one.weight)
    assert first.scale.item() == 2.0
    assert torch.equal(mine.one.weight, before)


@pytest.mark.parametrize("given", [Net, two_layers, lambda *_: Net()])
def test_classes_and_functions(given: Callable[..., nn.Module]) -> None:
    assert isinstance(own_backbone(given)(SECTION, (1, 6, 6)), nn.Module)


@pytest.mark.parametrize("given", [3, "vgg11", _three])
def test_what_makes_no_network(given: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match="backbone: a module, or a function"):
        own_backbone(given)


def test_search_and_retrain_with_a_module(tmp_path: Path) -> None:
    study = load_study(content(), backbone=two_layers, data=make_data())
    run = search(study, backbone=Net(), runs=tmp_path)
    assert run.best.architecture.graph.number_of_nodes() > 4
    table = retrain(study, run.best, backbone=Net(), runs=tmp_path)
    assert "found" in table.index
    with pytest.raises(
        ConfigError, match=r"own_backbone: 'Net with .* parameters' -> 'two_layers'"
    ):
        search(study, runs=tmp_path)


def test_one_depth_cannot_be_searched() -> None:
    own = content()
    own["search"]["space"] = {"backbone.depth": {"type": "int", "low": 1, "high": 2}}
    load_study(own, backbone=two_layers, data=make_data())
    with pytest.raises(ConfigError, match=r"search.space: .* one depth.*found backbone.depth"):
        load_study(own, backbone=Net(), data=make_data())
