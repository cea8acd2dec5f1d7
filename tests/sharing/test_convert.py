"""Random networks, groups and allocations: what `convert` promises holds for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sfg_nas import random_allocation
from sfg_nas.allocation import Allocation
from sfg_nas.fixed import distill
from sfg_nas.sharing import Supernet, convert
from tests.conversions import pair_of
from tests.networks import TASK_NAMES, Net, Sample, pooled
from tests.properties import (
    costs_are_counted,
    filters_in_one_group,
    foreign_gradients_are_zero,
    gradients_of,
    hard_owners,
    owned_parameters,
    reading_rule_holds,
    tasks_permute,
    three_ways_equal,
    with_heads_in_order,
)

QUICK = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
SEEDS = st.integers(0, 2**31 - 1)
WIDTHS = st.integers(3, 8)
ACTIVATIONS = (nn.ReLU, nn.Sigmoid, nn.GELU, nn.SiLU, nn.Tanh, nn.LeakyReLU)
NORMS = ("none", "batch", "group", "layer")
Layer = tuple[nn.Module, int]  # a module and the channels that it returns


class ChannelNorm(nn.Module):
    """Layer norm over the channels, whatever the number of spatial axes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class Parts:
    """Draws layers of one number of spatial axes."""

    def __init__(self, draw: st.DrawFn, axes: int) -> None:
        self.draw, self.axes = draw, axes
        self.conv_of = (nn.Conv2d, nn.Conv3d)[axes - 2]
        self.kinds: dict[str, Callable[[int], Layer]] = {
            "plain": self.plain,
            "residual": self.residual,
            "concat": self.concat,
            "separable": self.separable,
            "grouped": self.grouped,
            "pooling": self.pooling,
        }

    def conv(self, channels: int, filters: int, size: int = 3, groups: int = 1) -> nn.Module:
        bias = self.draw(st.booleans())
        padding = size // 2
        return self.conv_of(channels, filters, size, padding=padding, groups=groups, bias=bias)

    def after(self, channels: int) -> list[nn.Module]:
        """Return a norm and an activation, in either order."""
        batch = (nn.BatchNorm2d, nn.BatchNorm3d)[self.axes - 2]
        divisors = [n for n in range(1, channels + 1) if channels % n == 0]
        norm = {
            "none": nn.Identity,
            "batch": lambda: batch(channels),
            "group": lambda: nn.GroupNorm(self.draw(st.sampled_from(divisors)), channels),
            "layer": lambda: ChannelNorm(channels),
        }[self.draw(st.sampled_from(NORMS))]()
        return self.draw(st.permutations([norm, self.draw(st.sampled_from(ACTIVATIONS))()]))

    def plain(self, channels: int) -> Layer:
        filters = self.draw(WIDTHS)
        size = self.draw(st.sampled_from([1, 3]))
        return nn.Sequential(self.conv(channels, filters, size), *self.after(filters)), filters

    def residual(self, channels: int) -> Layer:
        body = nn.Sequential(self.conv(channels, channels), *self.after(channels))
        return Net(lambda net, x: x + net.body(x), body=body), channels

    def concat(self, channels: int) -> Layer:
        body, filters = self.plain(channels)
        return Net(lambda net, x: torch.cat([x, net.body(x)], 1), body=body), channels + filters

    def separable(self, channels: int) -> Layer:
        depthwise = self.conv(channels, channels, groups=channels)
        pointwise, filters = self.plain(channels)
        return nn.Sequential(depthwise, *self.after(channels), pointwise), filters

    def grouped(self, channels: int) -> Layer:
        groups = self.draw(st.sampled_from([n for n in range(1, 5) if channels % n == 0]))
        filters = groups * self.draw(st.integers(1, 8 // groups))
        layer = self.conv(channels, filters, groups=groups)
        return nn.Sequential(layer, *self.after(filters)), filters

    def pooling(self, channels: int) -> Layer:
        pools = (nn.MaxPool2d, nn.AvgPool2d) if self.axes == 2 else (nn.MaxPool3d, nn.AvgPool3d)
        pool = self.draw(st.sampled_from(pools))
        settings_of = self.draw(st.sampled_from([(2, 2, 1), (3, 1, 1)]))
        layer, filters = self.plain(channels)
        return nn.Sequential(pool(*settings_of), layer), filters


@st.composite
def group_sets(draw: st.DrawFn, tasks: Sequence[str]) -> object:
    """Return specialists, the lattice or a list of groups in which every task occurs."""
    kind = draw(st.sampled_from(["specialists", "lattice", "list", "list"]))
    if kind != "list":
        return kind
    some = st.frozensets(st.sampled_from(tasks), min_size=1)
    listed = draw(st.lists(some, min_size=1, max_size=5, unique=True))
    left = frozenset(tasks).difference(*listed)
    sets = [*listed, *([left] if left else [])]
    return ["all" if len(group) == len(tasks) else sorted(group) for group in sets]


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Return a random network of two to five tasks and convolutions, an input and groups."""
    tasks = TASK_NAMES[: draw(st.integers(2, 5))]
    axes = draw(st.sampled_from([2, 2, 2, 3]))
    parts = Parts(draw, axes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw(SEEDS))
        layers, channels = [], 3
        kinds = draw(st.lists(st.sampled_from(sorted(parts.kinds)), min_size=0, max_size=2))
        for kind in ["plain", *kinds]:
            layer, channels = parts.kinds[kind](channels)
            layers.append(layer)
        last = draw(WIDTHS)
        layers.append(parts.conv_of(channels, last, 3, padding=1))  # its bias always learns
        heads = {task: pooled(last, axes)(i % 3 + 1) for i, task in enumerate(tasks)}
        x = torch.randn(2, 3, *[6] * axes)
    return Sample(nn.Sequential(*layers), heads, x, draw(group_sets(tasks)))


def some_gradient_is_not_zero(supernet: Supernet, allocation: Allocation, x: Tensor) -> None:
    """Raise unless each task that owns filters of the last layer trains a filter that serves it."""
    supernet.harden(allocation).train()
    owned = list(owned_parameters(supernet, hard_owners(supernet, allocation)))
    last = [part.op.name for part in owned if part.argument == "weight"][-1]
    for index, task in enumerate(supernet.tasks):
        gradients = gradients_of(supernet, task, x)
        serving = [(p, p.slices(of=index, inside=True)) for p in owned]
        if not any(len(rows) for p, rows in serving if p.op.name == last):
            continue  # no filter can reach this head
        moved = [
            gradients[id(p.value)].index_select(p.axis, rows).any()
            for p, rows in serving
            if gradients[id(p.value)] is not None
        ]
        assert any(moved), f"`{task}` trains no filter that serves it"


@QUICK
@given(samples(), SEEDS)
def test_every_filter_is_in_exactly_one_group(sample: Sample, seed: int) -> None:
    supernet = pair_of(sample).connections
    filters_in_one_group(supernet, random_allocation(supernet, seed))


@QUICK
@given(samples(), SEEDS)
def test_no_task_reads_what_serves_only_others(sample: Sample, seed: int) -> None:
    both = pair_of(sample)
    allocation = random_allocation(both.connections, seed)
    for supernet in (both.connections, both.streams):
        reading_rule_holds(supernet, allocation, sample.x)


@QUICK
@given(samples(), SEEDS)
def test_each_loss_trains_filters_of_its_task_and_no_other(sample: Sample, seed: int) -> None:
    both = pair_of(sample)
    allocation = random_allocation(both.connections, seed)
    for supernet in (both.connections, both.streams):
        foreign_gradients_are_zero(supernet, allocation, sample.x)
        some_gradient_is_not_zero(supernet, allocation, sample.x)


@QUICK
@given(samples(), SEEDS, st.data())
def test_permuted_tasks_permute_the_result(sample: Sample, seed: int, data: st.DataObject) -> None:
    both = pair_of(sample)
    order = data.draw(st.permutations(list(both.connections.tasks)))
    heads = with_heads_in_order(both.original, order)
    permuted = convert(both.original.backbone, heads, sample.x, sample.groups)
    tasks_permute(both, permuted, random_allocation(both.connections, seed))


@QUICK
@given(samples(), SEEDS)
def test_both_forms_and_the_fixed_network_are_equal(sample: Sample, seed: int) -> None:
    both = pair_of(sample)
    three_ways_equal(both, random_allocation(both.connections, seed))


@QUICK
@given(samples(), SEEDS)
def test_the_fixed_network_costs_what_its_architecture_says(sample: Sample, seed: int) -> None:
    supernet = pair_of(sample).connections
    costs_are_counted(distill(supernet, random_allocation(supernet, seed)), sample.x)
