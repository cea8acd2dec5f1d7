from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas.sharing import BackboneWithHeads, convert, random_allocation
from sfg_nas.sharing.intercept import intercept
from tests.conversions import Pair, as_streams
from tests.networks import Builder, Net, StandardisedConv, conv, pooled
from tests.properties import three_ways_equal


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
