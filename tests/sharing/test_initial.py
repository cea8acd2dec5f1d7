"""A fixed network starts from scratch where the user's network did: its spread, its constants, not its training."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import sfg_nas
from sfg_nas.architecture import Architecture
from sfg_nas.errors import ArchitectureError
from tests.networks import conv, make

PLAIN = (
    "vgg",
    "resnet",
    "dense-block",
    "shuffle",
    "grouped",
    "transposed",
    "convnext",
    "1d",
    "3d",
    "flatten",
)


def spreads(architecture: Architecture) -> dict[str, float]:
    """Return the spreads that an architecture notes, by layer and tensor."""
    return {
        f"{node['layer']}.{label}": record["spread"]
        for _, node in architecture.graph.nodes(data=True)
        for label, record in node["params"].items()
        if "spread" in record
    }


def network(*, kaiming: bool) -> nn.Sequential:
    torch.manual_seed(0)
    made = nn.Sequential(
        conv(3, 32), nn.BatchNorm2d(32), nn.ReLU(), conv(32, 48), nn.BatchNorm2d(48), nn.ReLU()
    )
    if kaiming:
        for layer in (made[0], made[3]):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(made[4].weight)
        nn.init.constant_(made[4].bias, 0.5)
    return made


def converted(name: str) -> sfg_nas.Supernet:
    sample = make(name)
    return sfg_nas.convert(sample.backbone, sample.heads, sample.x, groups=sample.groups)


def heads() -> dict[str, nn.Module]:
    def head() -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 2))

    return {"age": head(), "sex": head()}


def found(backbone: nn.Module) -> Architecture:
    supernet = sfg_nas.convert(backbone, heads(), torch.zeros(2, 3, 8, 8))
    return sfg_nas.distill(supernet, sfg_nas.random_allocation(supernet, seed=1))


@pytest.mark.parametrize("name", PLAIN)
def test_pytorchs_own_start_needs_no_note(name: str) -> None:
    supernet = converted(name)
    assert spreads(sfg_nas.distill(supernet, sfg_nas.random_allocation(supernet, seed=0))) == {}


def test_a_start_of_ones_own_is_that_of_the_fixed_network() -> None:
    architecture = found(network(kaiming=True))
    noted = spreads(architecture)
    assert noted["0.weight"] == pytest.approx(math.sqrt(6), rel=0.1)
    assert noted["3.weight"] == pytest.approx(math.sqrt(6), rel=0.05)
    assert noted["0.bias"] == noted["3.bias"] == 0
    assert not any(name.startswith("heads") for name in noted)
    made = sfg_nas.build_network(architecture, seed=5)
    for node, key in made.module_of.items():
        layer, module = architecture.node(node)["layer"], made.layers[key]
        if layer == "3":
            reads = module.weight.shape[1] * 9  # fewer than in the user's network
            assert float(module.weight.detach().std()) == pytest.approx(
                math.sqrt(2 / reads), rel=0.1
            )
            assert not module.bias.any()
        if layer == "4":
            assert not module.weight.any()
            assert torch.equal(module.bias, torch.full_like(module.bias, 0.5))
        if layer == "1":
            assert bool((module.weight == 1).all())


def test_the_note_survives_files_and_is_no_part_of_the_structure() -> None:
    with_note, without = found(network(kaiming=True)), found(network(kaiming=False))
    assert with_note.hash == without.hash
    again = Architecture.from_json(with_note.to_json())
    assert spreads(again) == spreads(with_note) != {}
    first, second = (sfg_nas.build_network(a, seed=2).state_dict() for a in (with_note, again))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_trained_network_is_no_start() -> None:
    backbone = network(kaiming=True)
    backbone.train()(torch.randn(4, 3, 8, 8))
    nn.init.normal_(backbone[4].weight)
    architecture = found(backbone)
    assert spreads(architecture) == {}
    made = sfg_nas.build_network(architecture)
    norms = [made.layers[key] for node, key in made.module_of.items() if node.startswith("4@")]
    assert norms
    assert all(bool((norm.weight == 1).all()) and not norm.bias.any() for norm in norms)


def test_computed_weights_start_as_they_are_computed() -> None:
    supernet = converted("weight-standard")
    architecture = sfg_nas.distill(supernet, sfg_nas.random_allocation(supernet, seed=0))
    noted = spreads(architecture)
    assert noted
    made = sfg_nas.build_network(architecture)
    for node, key in made.module_of.items():
        if f"{architecture.node(node)['layer']}.weight" in noted:
            weight = made.layers[key].weight.detach()
            scale = math.sqrt(weight[0].numel() * 3)  # of PyTorch's own
            expected = noted[f"{architecture.node(node)['layer']}.weight"] / scale
            assert float(weight.std()) == pytest.approx(expected, rel=0.4)


class Places(nn.Module):
    """A learned place, a layer over places, a scale that starts small, and a slope for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.slopes = conv(3, 48), nn.PReLU(48)
        self.place = nn.Parameter(0.02 * torch.randn(1, 1, 8, 8))
        self.over = nn.Linear(64, 64)
        self.scale = nn.Parameter(torch.full((48, 1), 1e-3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.slopes(self.first(x)) + self.place
        return (self.over(x.flatten(2)) * self.scale).view(x.shape)


def test_what_is_drawn_in_no_filter_bank_is_drawn_again() -> None:
    torch.manual_seed(0)
    architecture = found(Places())
    made = sfg_nas.build_network(architecture, seed=3)
    other = sfg_nas.build_network(architecture, seed=4)
    seen = []
    for node, key in made.module_of.items():
        value, again = (getattr(one.layers[key], "other", None) for one in (made, other))
        if not isinstance(value, nn.Parameter) or value.numel() < 48:
            continue
        seen.append(value.shape)
        deviation = {64 * 64: 1 / math.sqrt(3 * 64), 64: 0.02}[value.numel()]
        if value.dim() == 1:  # the bias of the layer over places
            deviation = 1 / math.sqrt(3 * 64)
        assert float(value.detach().std()) == pytest.approx(deviation, rel=0.3), node
        assert abs(float(value.detach().mean())) < deviation, node
        assert not torch.equal(value, again)
    assert {len(shape) for shape in seen} == {1, 2, 4}
    scales = [v for k, v in made.state_dict().items() if "mul" in k]
    assert scales
    assert all(bool((value == 1e-3).all()) for value in scales)
    slopes = [v for k, v in made.state_dict().items() if "slopes" in k]
    assert slopes
    assert all(bool((value == 0.25).all()) for value in slopes)


@pytest.mark.parametrize("spread", [-1.0, math.nan, math.inf, "wide", True, None])
def test_spreads_that_are_none(spread: object) -> None:
    graph = found(network(kaiming=True)).graph.copy()
    node = next(n for n in graph if "weight" in graph.nodes[n]["params"])
    graph.nodes[node]["params"]["weight"]["spread"] = spread
    with pytest.raises(ArchitectureError, match=r"params\.weight"):
        Architecture(graph)
