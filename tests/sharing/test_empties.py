"""Tensors without values that are written over part by part."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas import scale_width
from tests.conversions import allocations, pair_of
from tests.networks import Net, Sample, conv, pooled
from tests.properties import everything_holds

CHANNELS, LAST, CUT = 8, 6, 3
Empty = Callable[[Tensor], Tensor]

EMPTIES: dict[str, Empty] = {
    "empty_like": torch.empty_like,
    "empty": lambda y: torch.empty(y.shape, dtype=y.dtype, memory_format=torch.channels_last),
    "new_empty": lambda y: y.new_empty(y.shape),
    "empty_strided": lambda y: torch.empty_strided(y.shape, y.stride()),
    "new_empty_strided": lambda y: y.new_empty_strided(y.shape, y.stride()),
    "zeros": lambda y: torch.zeros(y.shape),
    "new_zeros": lambda y: y.new_zeros(y.shape),
}


def shifted(empty: Empty) -> Callable[[Net, Tensor], Tensor]:
    """Return a network in which the last channels of a map come first."""

    def run(net: Net, x: Tensor) -> Tensor:
        y = functional.gelu(net.one(x))
        out = empty(y)
        out[:, :CUT] = y[:, -CUT:]
        out[:, CUT:] = y[:, :-CUT]
        return net.last(functional.gelu(net.two(out)))

    return run


def joined(net: Net, x: Tensor) -> Tensor:
    """Write two maps side by side."""
    one, two = functional.gelu(net.one(x)), functional.silu(net.one(x))
    n, c, h, w = one.shape
    out = torch.empty(n, 2 * c, h, w)
    out[:, :c] = one
    out[:, c:] = two
    return net.last(functional.gelu(net.two(out)))


def interleaved(net: Net, x: Tensor) -> Tensor:
    """Write a map, and a filtered one, at every other row."""
    y = functional.gelu(net.one(x))
    n, c, h, w = y.shape
    out = y.new_empty(n, c, 2 * h, w)
    out[:, :, ::2] = y
    out[:, :, 1::2] = net.again(y)
    return net.last(functional.gelu(net.two(out)))


def sample(run: Callable[[Net, Tensor], Tensor], tasks: str = "abc") -> Sample:
    torch.manual_seed(1)
    wide = 2 if run is joined else 1
    parts: dict[str, nn.Module] = {
        "one": conv(3, CHANNELS),
        "again": conv(CHANNELS, CHANNELS),
        "two": conv(wide * CHANNELS, LAST),
        "last": conv(LAST, LAST),
    }
    heads = {task: pooled(LAST)(i + 1) for i, task in enumerate(tasks)}
    groups = "lattice" if len(tasks) > 2 else "specialists"
    return Sample(Net(run, **parts), heads, torch.randn(3, 3, 6, 6), groups)


@pytest.mark.parametrize("tasks", ["ab", "abc"])
@pytest.mark.parametrize("name", EMPTIES)
def test_what_is_written_into_an_empty_tensor_is_followed(name: str, tasks: str) -> None:
    both = pair_of(sample(shifted(EMPTIES[name]), tasks))
    assert both.connections.wiring.variables == CHANNELS + 2 * LAST
    everything_holds(both, allocations(both.connections))


@pytest.mark.parametrize("run", [joined, interleaved])
def test_maps_may_be_written_side_by_side(run: Callable[[Net, Tensor], Tensor]) -> None:
    both = pair_of(sample(run))
    assert both.connections.wiring.variables == CHANNELS + 2 * LAST
    everything_holds(both, allocations(both.connections))


def test_such_a_network_can_be_made_narrower() -> None:
    given = sample(joined)
    narrow = scale_width(given.backbone, 0.5, given.x)
    assert narrow(given.x).shape[1] == LAST // 2
    assert narrow.get_parameter("one.weight").shape[0] == CHANNELS // 2
