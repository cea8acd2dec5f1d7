"""Backbones whose output is a container of tensors."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas import scale_width
from sfg_nas.sharing.features import leaves_of, with_leaves
from tests.conversions import allocations, pair_of
from tests.networks import Net, Sample, block
from tests.properties import everything_holds


@dataclass
class Maps:
    """Two maps."""

    low: Tensor
    high: Tensor


@dataclass(frozen=True, slots=True)
class Nested:
    """Maps and more in one another."""

    maps: list[Maps]
    factor: float = 2.0
    count: int = field(init=False, default=3)
    nothing: None = None


Pair = namedtuple("Pair", ["low", "high"])
Make = Callable[[Tensor, Tensor], object]
KINDS: dict[str, tuple[Make, Callable[..., tuple[Tensor, Tensor]]]] = {
    "dataclass": (Maps, lambda maps: (maps.low, maps.high)),
    "nested": (
        lambda low, high: Nested([Maps(low, high)]),
        lambda all_: (all_.maps[0].low, all_.maps[0].high * (all_.factor - 1)),
    ),
    "named tuple": (Pair, lambda maps: (maps.low, maps.high)),
    "dict": (
        lambda low, high: OrderedDict(low=low, maps=Maps(low, high)),
        lambda maps: (maps["low"], maps["maps"].high),
    ),
}


def sample(kind: str, tasks: str = "abc") -> Sample:
    """Return a backbone with such an output; the head of task `a` has to get a copy of it."""
    make, taken = KINDS[kind]

    def run(net: Net, x: Tensor) -> object:
        low = net.one(x)
        return make(low, net.two(functional.max_pool2d(low, 2)))

    def read(net: Net, maps: object) -> Tensor:
        low, high = taken(maps)
        if net.adds:
            high = functional.relu(high + net.inner(high))
        return net.one(low.mean((2, 3))) + net.two(high.mean((2, 3)))

    torch.manual_seed(1)
    backbone = Net(run, one=block(3, 5), two=block(5, 6))
    heads: dict[str, nn.Module] = {
        task: Net(
            read,
            adds=task == "a",
            inner=nn.Conv2d(6, 6, 1),
            one=nn.Linear(5, i + 1),
            two=nn.Linear(6, i + 1),
        )
        for i, task in enumerate(tasks)
    }
    groups = "lattice" if len(tasks) > 2 else "specialists"
    return Sample(backbone, heads, torch.randn(5, 3, 8, 8), groups)


@pytest.mark.parametrize("tasks", ["ab", "abc"])
@pytest.mark.parametrize("kind", KINDS)
def test_heads_read_what_their_tasks_may_read(kind: str, tasks: str) -> None:
    both = pair_of(sample(kind, tasks))
    assert both.connections.wiring.variables == 11
    assert both.connections.wiring.gated == {0}
    everything_holds(both, allocations(both.connections))


def test_such_a_backbone_can_be_made_narrower() -> None:
    given = sample("nested")
    maps = scale_width(given.backbone, 0.5, given.x)(given.x).maps[0]
    assert (maps.low.shape[1], maps.high.shape[1]) == (2, 3)


def test_values_are_put_back_where_they_were() -> None:
    given = {"a": Nested([Maps(torch.ones(1), torch.zeros(2))]), "b": (None, 5)}
    leaves = leaves_of(given)
    assert [type(leaf).__name__ for leaf in leaves] == [
        *("Tensor", "Tensor", "float", "int", "NoneType"),
        *("NoneType", "int"),
    ]
    found = with_leaves(given, iter(range(7)))
    assert found["a"].maps[0] == Maps(0, 1)
    assert (found["a"].factor, found["a"].count, found["b"]) == (2, 3, (5, 6))
    assert given["a"].factor == 2.0
    assert given["b"] == (None, 5)
