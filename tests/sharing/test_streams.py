from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import Supernet, convert, random_allocation
from tests.conversions import pair
from tests.networks import Net, conv, make, pooled
from tests.properties import (
    foreign_gradients_are_zero,
    gradients_of,
    run,
    same_outputs,
    three_ways_equal,
)

HAVE_DROPOUT = ("convnext", "group-norm", "sigmoid", "smooth")


@pytest.mark.parametrize("name", ["vgg", "resnet", "shuffle", "unet", "norm-head", "3d"])
def test_equal_in_training_mode_too(name: str) -> None:
    both = pair(name)
    allocation = random_allocation(both.connections, seed=5)
    three_ways_equal(both, allocation, training=True)


def test_tracked_instance_norm_in_training_mode() -> None:
    both = pair("instance-norm")
    three_ways_equal(both, random_allocation(both.connections, seed=5), training=True)


def test_convert_makes_streams_of_the_same_network() -> None:
    sample = make("resnet", tasks=2, groups="specialists")
    forms = [
        convert(sample.backbone, sample.heads, sample.x, relaxation=form)
        for form in ("connections", "streams")
    ]
    assert [form.relaxation for form in forms] == ["connections", "streams"]
    allocation = random_allocation(forms[0], seed=2)
    one, two = (run(form.harden(allocation), sample.x) for form in forms)
    same_outputs(two, one, "streams")


def weight_gradients(supernet: Supernet, task: str, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the gradient of one task's loss for the weights of the filter banks."""
    found = gradients_of(supernet, task, x)
    named = {name: found.get(id(p)) for name, p in supernet.network.named_parameters()}
    chosen = {
        n.replace(".parametrizations", "").replace(".original", ""): g for n, g in named.items()
    }
    return {
        n: g for n, g in chosen.items() if n.endswith("weight") and g is not None and g.dim() > 1
    }


@pytest.mark.parametrize("name", ["vgg", "separable"])
def test_gradients_of_weights_are_those_of_connections(name: str) -> None:
    both = pair(name)
    allocation = random_allocation(both.connections, seed=1)
    both.connections.harden(allocation).eval()
    both.streams.harden(allocation).eval()
    for task in both.connections.tasks:
        expected = weight_gradients(both.connections, task, both.x)
        found = weight_gradients(both.streams, task, both.x)
        assert set(found) == set(expected)
        for key, value in expected.items():
            scale = max(1.0, float(value.abs().max()))
            assert float((found[key] - value).abs().max()) <= 1e-4 * scale, key


@pytest.mark.parametrize("name", ["vgg", "shuffle", "dict"])
def test_no_gradient_on_what_serves_only_others(name: str) -> None:
    both = pair(name)
    allocation = random_allocation(both.connections, seed=1)
    foreign_gradients_are_zero(both.streams, allocation, both.x)


def test_relaxed_streams_mix_by_the_masks() -> None:
    """One 1x1 convolution, then another: the mixture of the paper, written out by hand."""
    backbone = nn.Sequential(conv(1, 2, 1, bias=False), nn.ReLU(), conv(2, 2, 1, bias=False))
    heads = {t: nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False)) for t in ("age", "sex")}
    x = torch.rand(1, 1, 1, 1) + 0.5
    supernet = convert(backbone, heads, x, relaxation="streams", start="dirichlet").eval()
    p = [rows.double() for rows in supernet.probabilities().values()]
    first = torch.relu(backbone[0].weight.double().view(2) * x.double().item())
    second = backbone[2].weight.double().view(2, 2)
    readable = {0: (0, 2), 1: (1, 2), 2: (2,)}  # age reads age and both, sex ..., both only both
    streams = {g: second @ (first * p[0][:, list(h)].sum(1)) for g, h in readable.items()}
    with torch.no_grad():
        found = supernet(x)
    for index, task in enumerate(("age", "sex")):
        parts = sum(p[1][:, h] * streams[h] for h in readable[index])
        expected = heads[task][1].weight.double() @ parts
        assert float(found[task]) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_a_norm_that_is_called_several_times_is_one() -> None:
    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x)
        for _ in range(3):
            x = torch.relu(net.norm(x + net.again(x)))
        return x

    torch.manual_seed(0)
    parts = {"first": nn.Conv2d(3, 6, 3), "again": nn.Conv2d(6, 6, 3, padding=1)}
    x = torch.randn(4, 3, 8, 8)
    heads = {task: pooled(6)(2) for task in "ab"}
    backbone = Net(run, norm=nn.BatchNorm2d(6), **parts)
    supernet = convert(backbone, heads, x, relaxation="streams").train()
    supernet(x)  # its statistics move
    allocation = random_allocation(supernet, seed=1)
    expected = supernet.harden(allocation).eval()(x)
    fixed = build_network(distill(supernet, allocation), weights=supernet).eval()
    for task, output in fixed(x).items():
        torch.testing.assert_close(output, expected[task])


@pytest.mark.parametrize("momentum", [None, 0.0, 0.1])
def test_statistics_move_as_fast_as_the_users(momentum: float | None) -> None:
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, momentum=momentum), nn.ReLU())
    heads = {task: pooled(6)(2) for task in "ab"}
    x = torch.randn(3, 8, 3, 8, 8)
    connections, streams = (
        convert(backbone, heads, x[0], relaxation=form) for form in ("connections", "streams")
    )
    allocation = random_allocation(connections, seed=1)
    fixed = build_network(distill(connections.harden(allocation)), weights=connections)
    networks = connections, streams.harden(allocation), fixed
    for network in networks:
        network.train()
        for batch in x:
            network(batch)
    expected, *others = (run(network, x[0]) for network in networks)
    for what, found in zip(("streams", "fixed"), others, strict=True):
        same_outputs(found, expected, what)
