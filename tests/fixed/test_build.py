"""A network that takes over weights draws none, and leaves no number as memory happened to hold it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas.architecture import Architecture
from sfg_nas.errors import ArchitectureError
from sfg_nas.fixed import build, build_network, distill
from sfg_nas.fixed.network import FixedNetwork
from sfg_nas.sharing import convert, random_allocation
from tests.conversions import pair, pair_of
from tests.networks import CASES, Net, Sample, conv, pooled
from tests.properties import three_ways_equal


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_number_is_taken_over(name: str) -> None:
    found = pair(name).connections
    architecture = distill(found, random_allocation(found, 3))
    torch.use_deterministic_algorithms(True)  # fills memory that nobody wrote with NaN
    try:
        network = build_network(architecture, weights=found)
    finally:
        torch.use_deterministic_algorithms(False)
    assert [key for key, value in network.state_dict().items() if bool(value.isnan().any())] == []


def test_nothing_is_drawn_where_weights_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    found = pair("resnet").connections
    architecture = distill(found, random_allocation(found, 3))
    drawn = []

    def made(architecture: Architecture) -> FixedNetwork:
        before = torch.get_rng_state()
        network = FixedNetwork(architecture)
        drawn.append(not torch.equal(torch.get_rng_state(), before))
        return network

    monkeypatch.setattr(build, "FixedNetwork", made)
    build_network(architecture, weights=found)
    build_network(architecture)
    assert drawn == [False, True]


def test_what_is_taken_over_whole_is_no_view_of_the_supernet() -> None:
    found = pair("resnet").connections
    shared = torch.full((found.wiring.variables,), len(found.groups) - 1)
    network = build_network(distill(found, found.wiring.allocation(shared)), weights=found)
    own = {value.data_ptr() for value in network.state_dict().values() if value.numel()}
    assert own.isdisjoint({p.data_ptr() for p in found.network.parameters()})


def test_weights_of_a_narrower_network_do_not_fit() -> None:
    wide, narrow = (
        convert(
            nn.Sequential(conv(1, filters), nn.ReLU()),
            {
                task: nn.Sequential(nn.Flatten(), nn.Linear(4 * filters, 1))
                for task in ("age", "sex")
            },
            torch.zeros(2, 1, 2, 2),
            start="near-shared",
        )
        for filters in (4, 3)
    )
    with pytest.raises(ArchitectureError, match="from this supernet; found too few in shape"):
        build_network(distill(wide), weights=narrow)


def test_a_parameter_that_is_something_else_the_next_time() -> None:
    """The scale of one norm is the shift of the next; what a sum adds is chosen from, too."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = functional.group_norm(net.first(x), 2, net.one, net.two)
        x = functional.group_norm(x, 2, net.two, net.one)
        one = net.one.view(1, -1, 1, 1)
        return torch.where(x > 0, one, x + one)

    one, two = nn.Parameter(torch.rand(6)), nn.Parameter(torch.rand(6))
    backbone = Net(run, first=conv(3, 6), one=one, two=two)
    heads = {task: pooled(6)(2) for task in ("age", "sex")}
    both = pair_of(Sample(backbone, heads, torch.randn(2, 3, 4, 4), "specialists"))
    three_ways_equal(both, random_allocation(both.connections, seed=3))
