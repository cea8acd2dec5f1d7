from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas.errors import ConversionError
from sfg_nas.sharing import BackboneWithHeads, convert, random_allocation
from sfg_nas.sharing.intercept import intercept
from tests.conversions import Pair, as_streams
from tests.networks import Builder, Net, StandardisedConv, conv, pooled
from tests.properties import foreign_gradients_are_zero, three_ways_equal


def prepared(backbone: nn.Module, features: int) -> Pair:
    """Return both forms of a backbone with two pooled heads."""
    x = torch.randn(4, 3, 8, 8)
    heads = {"age": pooled(features)(1), "sex": pooled(features)(2)}
    connections = convert(backbone, heads, x)
    original = BackboneWithHeads(backbone, heads)
    original.load_state_dict(connections.plain_state())
    return Pair(original, connections, as_streams(connections, original), x)


@dataclass
class Clock:
    """Counts the passes of a network."""

    passes: int = 0


def test_calls_are_answered_in_order() -> None:
    def run(net: Net, x: Tensor) -> Tensor:
        return functional.group_norm(net.inner(functional.group_norm(x, 1)), 2)

    seen = []

    def double(original: object, x: Tensor, *_rest: object, **_options: object) -> Tensor:
        seen.append(original)
        return 2 * x

    net = Net(run, inner=nn.GroupNorm(4, 4))
    x = torch.randn(2, 4, 3, 3)
    expected = functional.group_norm(net.inner(2 * x), 2)
    clock = Clock()
    intercept(net.inner, {"norm": [None]}, clock)
    intercept(net, {"norm": [double, None]}, clock)
    assert torch.allclose(net(x), expected)
    clock.passes += 1  # the next pass starts anew
    assert torch.allclose(net(x), expected)
    assert len(seen) == 2


def test_other_families_pass() -> None:
    net = Net(lambda net, x: net.layer(x), layer=conv(3, 4))
    x = torch.randn(2, 3, 5, 5)
    expected = net(x)
    intercept(net, {"norm": []}, Clock())
    assert torch.equal(net(x), expected)


def functional_norms() -> nn.Module:
    def run(net: Net, x: Tensor) -> Tensor:
        x = functional.group_norm(net.one(x), 2)
        return functional.group_norm(net.norm(net.two(functional.relu(x))), 3)

    return Net(run, one=conv(3, 6), two=conv(6, 6), norm=nn.GroupNorm(2, 6))


def shared_norm() -> nn.Module:
    def run(net: Net, x: Tensor) -> Tensor:
        return torch.cat([net.norm(net.one(x)), net.norm(net.two(x))], 1)

    return Net(run, one=conv(3, 6), two=conv(3, 6), norm=nn.GroupNorm(2, 6))


def shared_computed_weight() -> nn.Module:
    def run(net: Net, x: Tensor) -> Tensor:
        x = functional.relu(net.one(x))
        return net.again(functional.relu(net.again(x)))

    return Net(run, one=conv(3, 6), again=StandardisedConv(6, 6, 3))


@pytest.mark.parametrize(
    ("backbone", "features"),
    [
        (functional_norms, 6),
        (shared_norm, 12),
        (shared_computed_weight, 6),
    ],
)
def test_three_way_equality(backbone: Builder, features: int) -> None:
    both = prepared(backbone(), features)
    for seed in range(3):
        three_ways_equal(both, random_allocation(both.connections, seed=seed))


class Refined(nn.Module):
    """Refines its features more often in training, by one block with a norm over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = conv(3, 8), conv(8, 6)
        self.block = nn.Sequential(conv(8, 8), nn.GroupNorm(2, 8), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.first(x))
        for _ in range(4 if self.training else 2):
            x = x + self.block(x)
        return self.last(x)


class OnceMore(nn.Module):
    """Calls one norm on values of other filters, once more or once less in training."""

    def __init__(self, more: int, *, affine: bool = False) -> None:
        super().__init__()
        self.more = more
        self.first, self.second, self.last = conv(3, 8), conv(8, 8), conv(8, 6)
        self.norm = nn.GroupNorm(1, 8, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.first(x))
        y = self.second(functional.relu(x))
        if not self.training or self.more > 0:
            y = self.norm(y)
        if self.training and self.more > 0:
            self.extra = self.norm(y * 2).mean()
        return self.last(functional.relu(y))


class SkipsOne(nn.Module):
    """Leaves out one of several layers whose weights are computed, in training."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = conv(3, 8), conv(8, 6)
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(8, 8, 1, 1)) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.first(x))
        for place, weight in enumerate(self.weights):
            if place != 1 or not self.training:
                x = functional.relu(functional.conv2d(x, weight - weight.mean()))
        return self.last(x)


class OtherNormFirst(nn.Module):
    """Calls a norm of another kind in training, before the one of the trace."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = conv(3, 8), conv(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.training:
            self.extra = functional.layer_norm(x, x.shape[1:]).sum()
        return self.last(functional.relu(functional.group_norm(x, 2)))


@pytest.mark.parametrize(
    "build", [Refined, lambda: OnceMore(1, affine=True), lambda: OnceMore(-1, affine=True)]
)
def test_what_has_the_same_filters_may_be_called_more_often_in_training(build: Builder) -> None:
    supernet = prepared(build(), 6).connections
    allocation = random_allocation(supernet, seed=1)
    foreign_gradients_are_zero(supernet, allocation, torch.randn(4, 3, 8, 8))


@pytest.mark.parametrize(
    ("build", "found"),
    [
        (lambda: OnceMore(1), "`norm`: .*its norms over channels .*found more than 2"),
        (lambda: OnceMore(-1), "`norm`: .*found 1 of 2 calls"),
        (SkipsOne, "`backbone`: .*its layers with computed weights .*found 2 of 3 calls"),
        (OtherNormFirst, "`backbone`: .*found `layer_norm` for `group_norm`"),
    ],
)
def test_other_calls_in_training_than_on_the_example_are_refused(
    build: Builder, found: str
) -> None:
    supernet = prepared(build(), 6).connections
    supernet.eval()(torch.randn(4, 3, 8, 8))
    with pytest.raises(ConversionError, match=found):
        supernet.train()(torch.randn(4, 3, 8, 8))
    supernet.eval()(torch.randn(4, 3, 8, 8))
