"""Stochastic depth stands in the trace as dropout of whole examples, and fixed networks train with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import sfg_nas
from sfg_nas.fixed import FixedNetwork
from sfg_nas.sharing import in_training
from sfg_nas.sharing.stochastic_depth import show_stochastic_depth
from tests.fixed.test_source import loaded
from tests.networks import Net, conv


def one_each(x: Tensor) -> Tensor:
    """Return ones, one for each example, that can be multiplied with x."""
    return x.new_ones(len(x), *[1] * (x.dim() - 1))


class Draws(nn.Module):
    """Does something to its input in training."""

    def __init__(self, draw: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.draw = draw

    def forward(self, x: Tensor) -> Tensor:
        return self.draw(x) if self.training else x


DEPTHS = {
    "bernoulli": (0.2, lambda x: x * (one_each(x).bernoulli_(0.8) / 0.8)),
    "floor": (
        0.3,
        lambda x: x.div(0.7) * (one_each(x) * 0.7 + torch.rand_like(one_each(x))).floor(),
    ),
    "in place": (0.5, lambda x: x.mul_(torch.rand_like(one_each(x)).lt(0.5)).mul_(2.0)),
    "rarely": (0.001, lambda x: x * (torch.rand_like(one_each(x)) < 0.999) / 0.999),
}
OTHERS = {
    "nothing": lambda x: x,
    "not scaled": lambda x: x * one_each(x).bernoulli_(0.8),
    "scaled otherwise": lambda x: x * one_each(x).bernoulli_(0.8) / 0.5,
    "all examples": lambda x: x * torch.rand(()).lt(0.8) / 0.8,
    "always the same": lambda x: (
        x * torch.arange(len(x)).remainder(5).ne(0).view_as(one_each(x)) / 0.8
    ),
    "each value": lambda x: nn.functional.dropout(x, 0.2),
    "each channel": lambda x: nn.functional.dropout2d(x, 0.2),
    "any scale": lambda x: x * torch.rand_like(one_each(x)) * 2,
    "other values": lambda x: x * one_each(x).bernoulli_(0.8) / 0.8 + 0.01,
    "another shape": lambda x: x.flatten(1),
    "fails": lambda x: x.view(-1, 7, 11),
}


@pytest.mark.parametrize("name", DEPTHS)
def test_recognised(name: str) -> None:
    probability, draw = DEPTHS[name]
    network = nn.Sequential(conv(3, 4), Draws(draw))
    state = torch.get_rng_state()
    assert show_stochastic_depth(network) == pytest.approx({"1": probability}, abs=2e-6)
    assert torch.equal(torch.get_rng_state(), state)
    x = torch.rand(5, 3, 2)  # of any number of dimensions
    assert torch.equal(network[1].train()(x), x)


@pytest.mark.parametrize("name", OTHERS)
def test_left_alone(name: str) -> None:
    network = nn.Sequential(conv(3, 4), Draws(OTHERS[name]))
    forward = network[1].forward
    assert show_stochastic_depth(network) == {}
    assert network[1].forward == forward


def test_a_module_that_changes_values_in_evaluation_is_left_alone() -> None:
    class Always(Draws):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if self.training else 2 * x

    assert show_stochastic_depth(nn.Sequential(Always(DEPTHS["bernoulli"][1]))) == {}


def residual(net: Net, x: Tensor) -> Tensor:
    x = net.first(x)
    return x + net.path(net.second(x))


def network_with(probability: float) -> tuple[FixedNetwork, nn.Module]:
    """Return a fixed network, and its supernet, of a block with stochastic depth."""
    draw = lambda x: x * one_each(x).bernoulli_(1 - probability) / (1 - probability)  # noqa: E731
    backbone = Net(residual, first=conv(3, 12), second=conv(12, 12), path=Draws(draw))
    heads = {
        t: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 1)) for t in "ab"
    }
    example = torch.zeros(2, 3, 8, 8)
    assert in_training(backbone, example).draws == ()
    supernet = sfg_nas.convert(backbone, heads, example)
    allocation = sfg_nas.random_allocation(supernet, seed=0)
    supernet.harden(allocation).eval()
    return sfg_nas.build_network(sfg_nas.distill(supernet, allocation), weights=supernet), supernet


def test_the_fixed_network_trains_with_it() -> None:
    network, supernet = network_with(0.25)
    torch.manual_seed(0)
    x = torch.randn(1, 3, 8, 8).expand(4000, 3, 8, 8)
    with torch.no_grad():
        plain = network.eval()(x[:2])
        assert all(torch.allclose(plain[t], supernet(x[:2])[t], atol=1e-5) for t in "ab")
        drawn, same = network.train()(x), supernet.train()(x)
    for task in "ab":
        kinds = len(drawn[task].unique(dim=0))  # with and without each group's part
        assert kinds in range(2, 40)
        expected = plain[task][0]
        for values in (drawn[task], same[task]):  # the same mean, as what stays is scaled
            room = 6 * values.std(0) / 4000**0.5
            assert (values.mean(0) - expected).abs().le(room).all()


def test_the_written_source_has_it(tmp_path: Path) -> None:
    network, _ = network_with(0.25)
    module = loaded(network, tmp_path)
    x = torch.randn(1, 3, 8, 8).expand(400, 3, 8, 8)
    torch.manual_seed(1)
    with torch.no_grad():
        expected, found = network.train()(x), module.train()(x)
    for task in "ab":
        kinds = [sorted(set(y[task][:, 0].mul(1e4).round().tolist())) for y in (expected, found)]
        assert kinds[0] == pytest.approx(kinds[1], abs=1.5)  # with and without each group's part
        assert len(kinds[0]) == 4
