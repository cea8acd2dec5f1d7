"""Dropout stays in a trace whatever else PyTorch takes apart, and what a network gives stays what it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import sfg_nas
from sfg_nas.sharing import Supernet
from tests.networks import Net, conv


def supernet_of(run: Callable[[Net, Tensor], Tensor], **parts: nn.Module) -> Supernet:
    backbone = Net(run, first=conv(3, 12), second=conv(12, 12), **parts)
    heads = {
        t: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 2)) for t in "ab"
    }
    return sfg_nas.convert(backbone, heads, torch.zeros(2, 3, 8, 8))


def check(supernet: Supernet, kind: str | None) -> None:
    """Check that fixed networks have dropout of a kind, give the same values without, and train with it."""
    x = torch.randn(3, 3, 8, 8)
    for seed in range(3):
        allocation = sfg_nas.random_allocation(supernet, seed=seed)
        expected = supernet.harden(allocation).eval()(x)
        architecture = sfg_nas.distill(supernet, allocation)
        network = sfg_nas.build_network(architecture, weights=supernet).eval()
        found = network(x)
        assert all(torch.allclose(found[t], expected[t], atol=1e-5) for t in "ab")
        dropped = {d["op"] for _, d in architecture.graph.nodes(data=True) if "dropout" in d["op"]}
        assert dropped == ({kind} if kind else set())
        if kind:
            trained = network.train()(x)
            assert not any(torch.allclose(trained[t], found[t], atol=1e-5) for t in "ab")


def through_a_view(net: Net, x: Tensor) -> Tensor:
    """Write into a view, which makes the trace functional."""
    x = net.first(x)
    y = net.drop(net.second(x)).flatten(1).unflatten(1, (12, 8, 8))
    y += x
    return y.relu_()


KINDS = {
    "dropout": nn.Dropout,
    "feature_dropout": nn.Dropout2d,
    "alpha_dropout": nn.AlphaDropout,
    "feature_alpha_dropout": nn.FeatureAlphaDropout,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("in_place", [False, True])
def test_in_a_functional_program(kind: str, in_place: bool) -> None:
    check(supernet_of(through_a_view, drop=KINDS[kind](0.5, in_place)), kind)


def test_beside_an_operator_that_is_taken_apart() -> None:
    def run(net: Net, x: Tensor) -> Tensor:
        x = functional.dropout(net.first(x), 0.5, net.training)
        x = functional.local_response_norm(x, 3)
        return functional.dropout(net.second(x), 0.5, net.training, True) * x

    check(supernet_of(run), "dropout")


def test_a_value_dropped_in_place_is_read_as_it_then_is() -> None:
    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x)
        functional.dropout(x, 0.999, net.training, inplace=True)
        return x * 1.0

    supernet = supernet_of(run)
    check(supernet, "dropout")
    architecture = sfg_nas.distill(supernet, sfg_nas.random_allocation(supernet, seed=0))
    network = sfg_nas.build_network(architecture, weights=supernet)
    x = torch.randn(1, 3, 8, 8).expand(50, 3, 8, 8)
    with torch.no_grad():
        trained = network.train()(x)
    for task in "ab":
        values, counts = trained[task].round(decimals=5).unique(dim=0, return_counts=True)
        assert len(values) > 1
        assert counts.max() >= 5  # nothing is left of the features of many examples


@pytest.mark.parametrize("in_place", [False, True])
def test_what_is_one_tensor_in_evaluation_mode_stays_one(in_place: bool) -> None:
    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x)
        y = functional.dropout(x, 0.5, net.training, in_place)
        y.relu_()  # changes x in evaluation mode
        return net.second(x) + y

    check(supernet_of(run), None if not in_place else "dropout")


def test_dropout_of_constants_leaves_gradients_to_streams() -> None:
    def run(net: Net, x: Tensor) -> Tensor:
        return net.second(net.first(x).relu() + net.drop(net.places))

    parts = {"first": conv(3, 6), "second": conv(6, 6), "drop": nn.Dropout(0.5)}
    backbone = Net(run, **parts)
    backbone.places = nn.Parameter(torch.randn(1, 6, 8, 8))
    heads = {t: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2)) for t in "ab"}
    x = torch.zeros(2, 3, 8, 8)
    supernet = sfg_nas.convert(backbone, heads, x, relaxation="streams").train()
    sum(y.sum() for y in supernet(x).values()).backward()
    gradient = supernet.network.backbone.places.grad
    assert gradient is not None
    assert bool((gradient != 0).any())
    [op] = [op for op in supernet.wiring.network.ops if op.operation == "add.Tensor"]
    assert supernet.wiring.network.static_target(op.statics["other"]) == "backbone.places"
