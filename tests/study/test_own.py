"""A network of one's own goes all the way: a module, a class, a function; and what it cannot do is said."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sfg_nas.compare import compare
from sfg_nas.compare.allocated import thirds
from sfg_nas.compare.entrant import Setting
from sfg_nas.compare.notes import GIVEN_WEIGHTS
from sfg_nas.config import BackboneConfig
from sfg_nas.errors import ConfigError
from sfg_nas.study import RunFiles, load_study, retrain, search
from sfg_nas.study.own import gives_weights, own_backbone, registered_backbone
from sfg_nas.study.retrain_entries import make_entries
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


PRETRAINED = Net()


def pretrained() -> nn.Module:
    """Return a network that begins with the same weights each time, but for a part of them."""
    made = deepcopy(PRETRAINED)
    made.extra = nn.Conv2d(8, 2, 1)  # drawn anew: a part that is not pretrained
    return made


@pytest.mark.parametrize(
    ("given", "known"),
    [(Net, False), (PRETRAINED, False), (pretrained, True), (lambda *_: pretrained(), True)],
)
def test_weights_that_come_with_a_backbone(
    given: nn.Module | Callable[..., nn.Module], known: bool
) -> None:
    assert gives_weights(own_backbone(given), SECTION, (1, 6, 6)) is known


def test_registered_networks_come_without_weights() -> None:
    assert not gives_weights(registered_backbone, BackboneConfig(kind="vgg11"), (1, 6, 6))


def test_all_networks_start_from_given_weights(tmp_path: Path) -> None:
    """The found one cut to its groups, a narrower one cut to its filters; else hard sharing alone would have them."""
    study = load_study(content(), backbone=pretrained, data=make_data())
    run = search(study, runs=tmp_path)
    entries = make_entries(study, run.best, ("hard-sharing",), study.config.retrain)
    shared, found = (entry.make(3) for entry in entries)
    assert entries[-1].origin == "given"
    with_weights = dict(shared.named_parameters())
    assert torch.equal(with_weights["backbone.one.weight"], PRETRAINED.one.weight)
    numbers = set(PRETRAINED.two.weight.detach().reshape(-1).tolist())
    cut = [v for n, v in found.named_parameters() if ".two__" in n and v.dim() == 4]
    assert cut
    assert all(set(v.detach().reshape(-1).tolist()) <= numbers for v in cut)
    narrow = study.make_backbone(study.config.backbone.model_copy(update={"width": 0.5}))
    assert isinstance(narrow, Net)
    assert set(narrow.two.weight.detach().reshape(-1).tolist()) <= numbers
    table = retrain(study, run.best, runs=tmp_path)
    assert "found" in table.index


def test_a_comparison_says_that_weights_were_given(tmp_path: Path) -> None:
    own = content() | {"compare": {"methods": ["hard-sharing", "thirds"], "seeds": 2}}
    study = load_study(own, backbone=pretrained, data=make_data())
    assert GIVEN_WEIGHTS in compare(study, runs=tmp_path).notes
    setting = Setting(study, RunFiles(tmp_path / "other"))
    network = thirds(setting).prepare(1.0, seed=0, learning_rate=0.1).method.module
    numbers = set(PRETRAINED.two.weight.detach().reshape(-1).tolist())
    cut = [v for n, v in network.named_parameters() if ".two__" in n and v.dim() == 4]
    assert cut
    assert all(set(v.detach().reshape(-1).tolist()) <= numbers for v in cut)


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


class Attentive(nn.Module):
    """Means over channels, after each convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(1, 48, 3, padding=1)
        self.two = nn.Conv2d(48, 48, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return features [N, 48, H, W]."""
        for conv in (self.one, self.two):
            images = torch.relu(conv(images))
            images = images * torch.sigmoid(images.mean(1, keepdim=True))
        return images


@pytest.mark.parametrize(("network", "few"), [(Attentive, True), (Net, False)])
def test_that_little_is_left_to_search_is_said(
    network: type[nn.Module], few: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = load_study(content(), backbone=network, data=make_data())
    for _ in range(2):  # the second goes on
        search(study, runs=tmp_path)
    said = [record.getMessage() for record in caplog.records if "little is left" in record.msg]
    found = (
        "96 filters, 2 free choices of a group; 94 fewer by mean.dim in the backbone's `forward`"
    )
    assert said == [f"tiny: little is left to search for: {found}"] * few
