"""The short way of a fixed network gives what the long one gives."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from sfg_nas import build_network, convert, distill, random_allocation
from sfg_nas.fixed.lean import lean_steps
from sfg_nas.fixed.pooling import compared
from sfg_nas.fixed.steps import Step
from tests.conversions import VARIANTS, label, pair
from tests.networks import randomise
from tests.properties import same_outputs


@pytest.mark.parametrize("variant", VARIANTS[::3], ids=label)
def test_both_ways_give_the_same(variant: tuple[str, int | None, str | None]) -> None:
    both = pair(*variant)
    allocation = random_allocation(both.connections, seed=3)
    architecture = distill(both.connections, allocation)
    network = build_network(architecture, weights=both.connections).eval()
    expected = {k: v.detach() for k, v in network(both.x).items()}  # with gradients: the long way
    with torch.no_grad():
        same_outputs(network(both.x), expected, "the short way")


def plain() -> nn.Module:
    first = nn.Conv2d(3, 6, 3, bias=False)
    return nn.Sequential(first, nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 6, 3))


def networks() -> tuple[nn.Module, torch.Tensor]:
    x = torch.randn(2, 3, 12, 12)
    heads = {t: nn.Sequential(nn.Flatten(), nn.Linear(54, 2)) for t in ("a", "b")}
    supernet = convert(plain(), heads, x)
    randomise(supernet.network)
    architecture = distill(supernet, random_allocation(supernet, seed=1))
    return build_network(architecture, weights=supernet).eval(), x


def test_convolutions_of_the_image_become_one_with_their_norms() -> None:
    network, x = networks()
    recorded = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
    with torch.no_grad(), recorded as profile:
        network(x)
    calls = {event.key: event.count for event in profile.key_averages()}
    groups = {network.architecture.node(n)["group"][0] for n in network.architecture.graph}
    assert len(groups) > 1
    assert "aten::native_batch_norm" not in calls
    assert "aten::max_pool2d" not in calls
    long = [s for s in network._steps if s.node.startswith(("0@", "4@"))]
    assert calls["aten::conv2d"] == len(long) - len([s for s in long if s.node[0] == "0"]) + 1


def test_new_weights_and_statistics_are_seen_at_once() -> None:
    network, x = networks()
    with torch.no_grad():
        before = network(x)
    randomise(network, seed=9)
    expected = {k: v.detach() for k, v in network(x).items()}
    with torch.no_grad():
        after = network(x)
    same_outputs(after, expected, "after a change")
    assert not torch.allclose(before["a"], after["a"])


def test_a_copy_runs_its_own_layers() -> None:
    network, x = networks()
    twin = copy.deepcopy(network)
    randomise(network, seed=9)
    with torch.no_grad():
        assert not torch.allclose(network(x)["a"], twin(x)["a"])


def test_hooks_are_called_and_values_of_nodes_stay_as_they_are() -> None:
    network, x = networks()
    seen: list[str] = []
    for name, layer in network.layers.items():
        layer.register_forward_hook(lambda *_, name=name: seen.append(name))
    with torch.no_grad():
        network(x)
        nodes = [n for n in network.architecture.graph if n.startswith(("0@", "1@"))]
        values = network.features(x, nodes)
    assert seen[: len(network.layers)] == list(network.layers)
    assert any(float(v.min()) < 0 for v in values.values()), "the activation changed what it read"


def test_a_value_that_two_read_is_not_changed_in_place() -> None:
    conv, relu = nn.Conv2d(3, 4, 1), "relu"
    steps = [
        Step("c", ((-1,),), 0, lambda inputs, _: conv(inputs[0][0])),
        Step("r", ((0,),), 1, lambda inputs, _: functional.relu(inputs[0][0])),
        Step("s", ((0,), (1,)), 2, lambda inputs, _: inputs[0][0] + inputs[1][0]),
    ]
    found = lean_steps(steps, {"c": conv}, {"c": "conv2d", "r": relu, "s": "add.Tensor"}, {2})
    assert [step.node for step in found] == ["c", "r", "s"]


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 1, 0), (3, 2, 0)]
)
def test_compared_pooling_is_the_library_s(
    dims: int, kernel: int, stride: int, padding: int
) -> None:
    x = torch.randn(2, 5, *[7, 9, 6][:dims])
    x.view(-1)[3] = float("nan")
    x.view(-1)[11] = float("-inf")
    settings = {"kernel_size": [kernel], "stride": [stride], "padding": [padding]}
    expected = getattr(functional, f"max_pool{dims}d")(x, kernel, stride, padding)
    with torch.no_grad():
        found = compared(f"max_pool{dims}d", x, settings)
    assert found is not None
    assert torch.equal(found.nan_to_num(7.0), expected.nan_to_num(7.0))


@pytest.mark.parametrize(
    "other", [{"ceil_mode": True}, {"dilation": [2, 2]}, {"kernel_size": [5, 5]}]
)
def test_other_pooling_is_left_to_the_library(other: dict[str, object]) -> None:
    settings = {"kernel_size": [2, 2], "stride": [2, 2], **other}
    with torch.no_grad():
        assert compared("max_pool2d", torch.randn(1, 2, 9, 9), settings) is None
    x = torch.randn(1, 2, 8, 8, requires_grad=True)
    assert compared("max_pool2d", x, {"kernel_size": [2, 2]}) is None
