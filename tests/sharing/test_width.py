"""Any network at another width: it runs, costs about what it should, and goes on to be converted, distilled and built."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.utils import _pytree as pytree

import sfg_nas
from sfg_nas.cost import count_macs
from sfg_nas.errors import ConfigError, ConversionError
from sfg_nas.sharing import WidthPlan, scale_width
from tests.networks import CASES, Net, conv, randomise


class Pooled(nn.Module):
    """Reads the means of all tensors of a backbone's output."""

    def __init__(self, features: object) -> None:
        super().__init__()
        self.layer = nn.Linear(sum(x.shape[1] for x in pytree.tree_leaves(features)), 2)

    def forward(self, features: object) -> Tensor:
        means = [x.flatten(2).mean(2) if x.dim() > 2 else x for x in pytree.tree_leaves(features)]
        return self.layer(torch.cat(means, 1))


def filters(network: nn.Module) -> dict[str, int]:
    return {
        name: module.weight.shape[0]
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_network_goes_all_the_way(name: str) -> None:
    torch.manual_seed(0)
    backbone, example = CASES[name].backbone(), torch.randn(2, *CASES[name].image)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    plan = WidthPlan.of(backbone, example)
    narrow, same, wide = (plan.made(backbone, width) for width in (0.6, 1.0, 1.5))
    cost = count_macs(backbone, example)
    assert count_macs(narrow, example) < 0.93 * cost
    assert count_macs(wide, example) > 1.1 * cost
    assert {k: v.shape for k, v in same.state_dict().items()} == {
        k: v.shape for k, v in before.items()
    }
    assert type(wide) is type(backbone)
    after = backbone.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    made = (narrow, wide)[sorted(CASES).index(name) % 2].eval()
    heads = {task: Pooled(made(example)) for task in ("age", "sex", "kind")}
    supernet = sfg_nas.convert(made, heads, example)
    randomise(supernet)
    allocation = sfg_nas.random_allocation(supernet, seed=1)
    with torch.no_grad():
        expected = supernet.harden(allocation).eval()(example)
        network = sfg_nas.build_network(sfg_nas.distill(supernet), weights=supernet).eval()
        found = network(example)
    for task in heads:
        assert torch.allclose(expected[task], found[task], atol=1e-4)


def test_sizes_and_what_modules_note_of_them() -> None:
    class Scale(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.shape = (channels, 1, 1)
            self.gain = nn.Parameter(torch.full((channels,), 0.5))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.gain.view(self.shape)

    backbone = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.PReLU(8),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.GroupNorm(2, 8),
        Scale(8),
        nn.ConvTranspose2d(8, 4, 2, stride=2),
        nn.Flatten(),
        nn.Linear(4 * 64, 6),
        nn.LayerNorm(6),
    )
    made = scale_width(backbone, 1.5, torch.zeros(1, 3, 4, 4))
    assert isinstance(made, nn.Sequential)
    first, norm, slope, depthwise, groups, scale, up, _, last, layer_norm = made
    assert (first.in_channels, first.out_channels, tuple(first.weight.shape)) == (
        3,
        12,
        (12, 3, 3, 3),
    )
    assert (norm.num_features, len(norm.running_mean), len(norm.weight)) == (12, 12, 12)
    assert (slope.num_parameters, len(slope.weight)) == (12, 12)
    assert (depthwise.groups, tuple(depthwise.weight.shape)) == (12, (12, 1, 3, 3))
    assert (groups.num_groups, groups.num_channels) == (2, 12)
    assert (scale.shape, scale.gain.tolist()) == ((12, 1, 1), [0.5] * 12)
    assert (up.in_channels, up.out_channels, tuple(up.weight.shape[:2])) == (12, 6, (12, 6))
    assert (last.in_features, last.out_features) == (6 * 64, 9)
    assert layer_norm.normalized_shape == (9,)
    assert "Conv2d(3, 12," in repr(made)


def test_numbers_that_happen_to_be_those_of_a_size_are_left_alone() -> None:
    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x) * net.gain
        for _ in range(net.times):
            x = net.second(x).relu()
        return x

    gain = nn.Parameter(torch.ones(4, 1, 1))
    backbone = Net(run, first=conv(3, 4), second=conv(4, 4), gain=gain, times=4)
    made = scale_width(backbone, 0.5, torch.zeros(1, 3, 8, 8))
    assert filters(made) == {"first": 2, "second": 2}
    assert made.times == 4


@pytest.mark.parametrize("width", [0.25, 0.5, 1.3, 2.0])
def test_filters_are_scaled_and_rounded(width: float) -> None:
    backbone = nn.Sequential(conv(3, 20), nn.ReLU(), conv(20, 1), nn.ReLU(), conv(1, 13))
    made = filters(scale_width(backbone, width, torch.zeros(1, 3, 8, 8)))
    # a single filter stays alone: two would be another kind of map
    assert list(made.values()) == [round(20 * width), 1, max(1, round(13 * width))]


def test_new_weights_have_the_spread_of_the_old_and_their_own_values() -> None:
    backbone = nn.Sequential(conv(16, 64), nn.BatchNorm2d(64), nn.ReLU(), conv(64, 128))
    nn.init.constant_(backbone[1].weight, 0.25)
    nn.init.normal_(backbone[3].weight, std=0.1)
    torch.manual_seed(1)
    for width in (0.5, 2.0):
        made = scale_width(backbone, width, torch.zeros(1, 16, 8, 8))
        assert isinstance(made, nn.Sequential)
        last = made[3].weight
        assert float(last.detach().std()) == pytest.approx(0.1 / math.sqrt(width), rel=0.05)
        assert len(last.detach().flatten(1).unique(dim=0)) == len(last)  # no filter twice
        assert made[1].weight.tolist() == [0.25] * round(64 * width)
        assert float(made[0].weight.detach().std()) == pytest.approx(
            float(backbone[0].weight.detach().std()), rel=0.1
        )


@pytest.mark.parametrize("largest", [lambda x: x.amax(2), lambda x: x.max(2).values])
def test_the_largest_of_each_few_filters_is_one_channel(
    largest: Callable[[Tensor], Tensor],
) -> None:
    def run(net: Net, x: Tensor) -> Tensor:
        for layer in (net.first, net.second):
            x = layer(x)
            x = largest(x.view(len(x), x.shape[1] // 2, 2, *x.shape[2:]))
        return x

    backbone, example = Net(run, first=conv(3, 16), second=conv(8, 12)), torch.randn(2, 3, 8, 8)
    assert filters(scale_width(backbone, 0.5, example)) == {"first": 8, "second": 6}
    wider = scale_width(backbone, 2.0, example, keep_weights=True)
    assert filters(wider) == {"first": 32, "second": 24}
    with torch.no_grad():
        expected = backbone(example).repeat_interleave(2, 1)
        # the noise that parts doubled filters
        assert float((wider(example) - expected).std() / expected.std()) < 0.03


def trained() -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential(
        conv(3, 8),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        conv(8, 6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 64, 5),
    )
    for _ in range(3):
        network(torch.randn(8, 3, 8, 8))
    return network.eval()


def test_kept_weights_of_a_wider_network_compute_the_same() -> None:
    network, x = trained(), torch.randn(4, 3, 8, 8)
    made = scale_width(network, 2, x, keep_weights=True).eval()
    with torch.no_grad():
        wide, expected = made(x), network(x).repeat_interleave(2, 1)
    assert (
        float((wide - expected).std() / expected.std()) < 0.03
    )  # the noise that parts doubled filters
    assert not torch.equal(wide[:, ::2], wide[:, 1::2])


def test_kept_weights_of_a_narrower_network_are_a_part_of_the_old() -> None:
    network, x = trained(), torch.zeros(4, 3, 8, 8)
    made = scale_width(network, 0.5, x, keep_weights=True)
    assert isinstance(made, nn.Sequential)
    first = [f.tolist() for f in network[0].weight.detach()]
    assert all(f.tolist() in first for f in made[0].weight.detach())
    numbers = set(network[3].weight.detach().reshape(-1).tolist())
    assert set(made[3].weight.detach().reshape(-1).tolist()) <= numbers
    assert made[3].weight.shape == (3, 4, 3, 3)
    assert set(made[1].running_mean.tolist()) <= set(network[1].running_mean.tolist())


def test_kernels_that_are_not_trained_are_taken_over() -> None:
    class Blur(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.channels = channels
            kernel = torch.tensor([1.0, 2, 1]).outer(torch.tensor([1.0, 2, 1])) / 16
            self.register_buffer("kernel", kernel.repeat(channels, 1, 1, 1), persistent=False)

        def forward(self, x: Tensor) -> Tensor:
            return functional.conv2d(x, self.kernel, padding=1, groups=self.channels)

    made = scale_width(nn.Sequential(conv(1, 6), Blur(6)), 2, torch.zeros(1, 1, 8, 8))
    assert isinstance(made, nn.Sequential)
    assert made[1].kernel.shape == (12, 1, 3, 3)
    assert torch.equal(made[1].kernel[11], Blur(1).kernel[0])


def test_ties_hold() -> None:
    """A residual add, a concatenation, attention over channels and a map that is broadcast over them."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.stem(x)
        x = x + net.inner(x).relu()
        x = torch.cat([x, net.grow(x)], 1)
        x = x * net.gate(x.mean((2, 3), keepdim=True)).sigmoid()
        place = torch.stack([x.mean(1), x.amax(1)], 1)
        return net.last(x * net.place(place).sigmoid())

    backbone = Net(
        run,
        stem=conv(3, 10),
        inner=conv(10, 10),
        grow=conv(10, 6),
        gate=conv(16, 16, 1),
        place=conv(2, 1, 7),
        last=conv(16, 4),
    )
    made = filters(scale_width(backbone, 0.5, torch.zeros(1, 3, 8, 8)))
    assert made == {"stem": 5, "inner": 5, "grow": 3, "gate": 8, "place": 1, "last": 2}


def test_shared_parameters_stay_one() -> None:
    backbone = nn.Sequential(conv(3, 8), nn.ReLU(), conv(8, 8), nn.ReLU(), conv(8, 8))
    backbone[4].weight = backbone[2].weight
    made = scale_width(backbone, 0.5, torch.zeros(1, 3, 8, 8))
    assert isinstance(made, nn.Sequential)
    assert made[4].weight is made[2].weight
    assert made[2].weight.shape[:2] == (4, 4)


def test_computed_weights() -> None:
    backbone = nn.Sequential(
        parametrizations.weight_norm(conv(3, 8)),
        nn.ReLU(),
        parametrizations.weight_norm(conv(8, 6)),
    )
    made = scale_width(backbone, 2, torch.zeros(1, 3, 8, 8))
    assert made(torch.zeros(2, 3, 8, 8)).shape == (2, 12, 8, 8)


class Tutorial(nn.Module):
    """Its `forward` has the number of features of one layer in it."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = conv(1, 12), conv(12, 8)
        self.three, self.four = nn.Linear(8 * 16, 24), nn.Linear(24, 12)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(self.one(x).relu(), 2)
        x = functional.max_pool2d(self.two(x).relu(), 2).view(-1, 8 * 4 * 4)
        return self.four(self.three(x).relu())


def test_a_layer_whose_number_is_written_down_keeps_it() -> None:
    made = filters(scale_width(Tutorial(), 0.5, torch.zeros(1, 1, 16, 16)))
    assert made == {"one": 6, "two": 8, "three": 12, "four": 6}


def test_what_cannot_be_scaled_is_refused_by_its_module() -> None:
    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x).relu().view(-1, 4, 2, 8, 8).sum(2)
        return net.second(x).view(-1, 2, 3, 8, 8).amax(2)

    backbone = Net(run, first=conv(3, 8), second=conv(4, 6))
    text = r"scale_width: `first`: every layer must run with another number .*found .*scale_width|at any width"
    with pytest.raises(ConversionError, match=text):
        scale_width(backbone, 0.5, torch.zeros(1, 3, 8, 8))


def test_a_network_in_which_no_number_may_change_is_refused_by_its_name() -> None:
    text = r"`Conv2d`: every layer .*found none whose number of filters may change;"
    with pytest.raises(ConversionError, match=text):
        scale_width(conv(3, 1), 0.5, torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("width", [0.0, -1.0, math.inf, math.nan])
def test_widths_that_are_none(width: float) -> None:
    with pytest.raises(ConfigError, match="width: a finite number above 0 is needed"):
        scale_width(conv(3, 8), width, torch.zeros(1, 3, 8, 8))


def test_a_network_that_cannot_be_followed() -> None:
    backbone = Net(lambda net, x: torch.fft.rfft2(net.first(x)).abs(), first=conv(3, 8))
    with pytest.raises(ConversionError, match="fft"):
        scale_width(backbone, 0.5, torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("make", [lambda: conv(3, 8), Tutorial])
def test_a_plan_serves_all_widths_and_leaves_modes_alone(make: Callable[[], nn.Module]) -> None:
    backbone = make().train()
    example = torch.zeros(1, 3 if isinstance(backbone, nn.Conv2d) else 1, 16, 16)
    plan = WidthPlan.of(backbone, example)
    costs = [count_macs(plan.made(backbone, width), example) for width in (0.5, 1.0, 2.0)]
    assert costs == sorted(set(costs))
    assert backbone.training
    assert plan.made(backbone, 0.5).training
