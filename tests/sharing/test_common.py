from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas.sharing import convert, random_allocation
from tests.conversions import pair_of
from tests.networks import Net, Sample, conv, pooled
from tests.properties import everything_holds, foreign_gradients_are_zero

Change = Callable[[Net, Tensor], Tensor]


def over_channels(net: Net, x: Tensor) -> Tensor:
    return net.shared(x.movedim(1, -1)).movedim(-1, 1)


CHANGES: dict[str, tuple[object, Change]] = {
    "batch norm": (nn.BatchNorm2d(6), lambda net, x: net.shared(x)),
    "group norm": (nn.GroupNorm(2, 6), lambda net, x: net.shared(x)),
    "layer norm": (nn.LayerNorm(6), over_channels),
    "slopes": (nn.PReLU(6), lambda net, x: net.shared(x)),
    "scale": (nn.Parameter(torch.rand(6)), lambda net, x: x * net.shared.view(1, -1, 1, 1)),
}


def network(shared: object, change: Change, *, tied: bool = False) -> nn.Module:
    """Return two convolutions with one change behind each of them."""

    def run(net: Net, x: Tensor) -> Tensor:
        return change(net, net.two(change(net, net.one(x)).sigmoid()))

    one, two = conv(3, 6), conv(6, 6)
    if tied:
        two.bias = one.bias
    return Net(run, one=one, two=two, shared=shared)


def sample(backbone: nn.Module) -> Sample:
    heads = {task: pooled(6)(2) for task in "abc"}
    return Sample(backbone, heads, torch.randn(6, 3, 8, 8), "specialists")


@pytest.mark.parametrize("name", CHANGES)
def test_filters_that_one_number_changes_are_of_one_group(name: str) -> None:
    both = pair_of(sample(network(*CHANGES[name])))
    assert both.connections.wiring.variables == 6
    everything_holds(both, {"random": random_allocation(both.connections, seed=3)})


def test_filters_with_one_bias_are_of_one_group() -> None:
    both = pair_of(sample(network(None, lambda _, x: x, tied=True)))
    assert both.connections.wiring.variables == 6
    everything_holds(both, {"random": random_allocation(both.connections, seed=3)})


def turned(net: Net, x: Tensor) -> Tensor:
    """Two convolutions, the second with the first one's weight, in which filters and channels change places."""
    weight = net.shared
    return functional.conv2d(functional.conv2d(x, weight), weight.transpose(0, 1))


def rotated(net: Net, x: Tensor) -> Tensor:
    """One convolution with three filters and the same ones, turned."""
    weight = torch.cat([net.shared, net.shared.rot90(1, (2, 3))])
    return functional.conv2d(x, weight, padding=1)


def cut(net: Net, x: Tensor) -> Tensor:
    """A convolution, and another one with half of its filters, masked."""
    one = functional.conv2d(x, net.shared, padding=1).sigmoid()
    return torch.cat([one, functional.conv2d(x, 0.5 * net.shared[3:], padding=1)], 1)


SEVERAL: dict[str, tuple[tuple[int, ...], Change, int]] = {
    "places change": ((4, 6, 1, 1), turned, 1 + 6),
    "a turned copy": ((3, 6, 3, 3), rotated, 3 + 6),
    "a part": ((6, 6, 3, 3), cut, 6 + 6),
    "a map that is added twice": (
        (6, 1, 8),
        lambda net, x: net.body(x + net.shared) + net.shared,
        6,
    ),
    "a scale and its copy": ((3, 1, 1), lambda net, x: x * net.shared.repeat(2, 1, 1), 3),
    "a part of a scale": ((6, 1, 1), lambda net, x: (x * net.shared)[:, :4] * net.shared[2:], 2),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_filters_that_use_one_number_in_several_ways_are_of_one_group(name: str) -> None:
    shape, change, variables = SEVERAL[name]
    backbone = Net(
        lambda net, x: change(net, net.first(x)),
        first=conv(3, 6),
        body=conv(6, 6),
        shared=nn.Parameter(torch.rand(shape)),
    )
    x = torch.randn(2, 3, 8, 8)
    channels = backbone(x).shape[1]
    heads = {task: pooled(channels)(2) for task in "abc"}
    supernet = convert(backbone, heads, x)
    assert supernet.wiring.variables == variables
    foreign_gradients_are_zero(supernet, random_allocation(supernet, seed=3), x)


@pytest.mark.parametrize("name", ["frozen", "one number", "a norm of its own each time"])
def test_other_filters_are_free(name: str) -> None:
    shared: object = nn.BatchNorm2d(6)
    if name == "frozen":
        shared = nn.Parameter(torch.rand(6, 1, 1), requires_grad=False)
    if name == "one number":
        shared = nn.PReLU()
    change: Change = (lambda net, x: net.shared * x) if name == "frozen" else CHANGES["slopes"][1]
    backbone = network(shared, change)
    if name == "a norm of its own each time":
        backbone = nn.Sequential(conv(3, 6), nn.BatchNorm2d(6), conv(6, 6), nn.BatchNorm2d(6))
    assert pair_of(sample(backbone)).connections.wiring.variables == 12
