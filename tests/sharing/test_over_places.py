"""Linear layers over places: each channel by itself, by one matrix, however it is written."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import sfg_nas
from sfg_nas.allocation import Allocation
from sfg_nas.cost import count_macs, count_params
from sfg_nas.sharing.cost import ExpectedCost, macs_of, params_of
from sfg_nas.sharing.names import plain_parameters
from sfg_nas.sharing.width import WidthPlan
from tests.conversions import everything_shared, pair_of
from tests.networks import Sample, pooled, randomise
from tests.properties import three_ways_equal

WAYS = ("layer", "functional", "product", "einsum")


class Products(nn.Module):
    """A convolution, a product over places in one of several notations, and a convolution."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv1d(8, 6, 1)
        self.layer = nn.Linear(36, 8)  # as many as channels
        self.weight, self.bias = nn.Parameter(torch.randn(36, 8)), nn.Parameter(torch.randn(8))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.sigmoid(self.first(x)).flatten(2)
        if self.way == "layer":
            x = self.layer(x)
        elif self.way == "functional":
            x = functional.linear(x, self.weight.t(), self.bias)
        elif self.way == "product":
            x = x @ self.weight + self.bias
        else:
            x = torch.einsum("ncl,lm->ncm", x, self.weight)
        return self.last(torch.tanh(x))


def sample(way: str) -> Sample:
    torch.manual_seed(1)
    backbone, x = Products(way), torch.randn(2, 3, 6, 6)
    randomise(backbone)
    heads = {task: pooled(6, 1)(2) for task in ("age", "sex")}
    return Sample(backbone, heads, x, "specialists")


@pytest.mark.parametrize("way", WAYS)
def test_all_filters_are_free_and_all_three_forms_agree(way: str) -> None:
    both = pair_of(sample(way))
    wiring = both.connections.wiring
    assert list(wiring.layers) == ["first", "last"]
    assert wiring.choices.free == 14
    for seed in range(3):
        allocation = sfg_nas.random_allocation(both.connections, seed)
        for training in (False, True):
            three_ways_equal(both, allocation, training=training)
        architecture = sfg_nas.distill(both.connections, allocation)
        network = sfg_nas.build_network(architecture)
        assert architecture.macs == count_macs(network, both.x)
        assert architecture.params == count_params(network)


def test_a_channel_moves_no_other() -> None:
    both = pair_of(sample("layer"))
    supernet = both.connections
    sets, rows = supernet.groups.sets, supernet.wiring.layers["first"]
    allocation = everything_shared(supernet).layers
    own = list(allocation["first"])
    last = list(allocation["last"])
    own[3] = last[0] = sets.index(frozenset({0}))
    chosen = {"first": tuple(own), "last": tuple(last)}
    supernet.harden(Allocation(supernet.groups, chosen)).eval()
    assert len(set(rows.tolist())) == 8
    with torch.no_grad():
        before = supernet(both.x)
        dict(supernet.network.named_modules())["backbone.first"].bias[3] += 1.0
        after = supernet(both.x)
    assert torch.equal(before["sex"], after["sex"])
    assert not torch.equal(before["age"], after["age"])


def test_the_objective_counts_what_the_network_costs() -> None:
    supernet = pair_of(sample("layer")).connections
    wiring, owners = supernet.wiring, torch.eye(len(supernet.groups.extended), dtype=torch.double)
    names = plain_parameters(supernet.network)
    for seed in range(5):
        allocation = sfg_nas.random_allocation(supernet, seed)
        layers = {name: [*own] for name, own in allocation.layers.items()}
        for own in layers.values():  # something of each group, so that nothing is dropped
            own[:3] = [0, 1, 2]
        allocation = Allocation(supernet.groups, {n: tuple(own) for n, own in layers.items()})
        table = torch.cat([owners[wiring.variables_of(allocation)], owners])
        architecture = sfg_nas.distill(supernet, allocation)
        values = supernet.static_values()
        prices = {"macs": macs_of(wiring), "params": params_of(wiring, values, names)}
        for cost, price in prices.items():
            expected = float(ExpectedCost(price, supernet.groups)(table))
            assert expected == getattr(architecture, cost), cost


def test_channels_can_be_more_and_fewer_and_places_stay() -> None:
    given = sample("layer")
    plan = WidthPlan.of(given.backbone, given.x)
    for width, filters in ((0.5, 4), (2.0, 16)):
        made = plan.made(given.backbone, width)
        assert made.first.weight.shape[0] == filters
        assert made.layer.weight.shape == (8, 36)
        assert made(given.x).shape[2] == 8


def test_a_layer_over_places_of_the_image_alone_keeps_its_filters() -> None:
    backbone = nn.Sequential(nn.Linear(12, 7), nn.ReLU(), nn.Flatten(), nn.Linear(21, 5))
    heads = {task: nn.Linear(5, 2) for task in ("age", "sex")}
    supernet = sfg_nas.convert(backbone, heads, torch.randn(2, 3, 12))
    assert [len(rows) for rows in supernet.wiring.layers.values()] == [7, 5]
