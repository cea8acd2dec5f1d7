"""What computes single nodes."""

from __future__ import annotations

import math
import pickle
import warnings
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from sfg_nas import build_network, convert, distill, random_allocation
from sfg_nas.fixed.runners import Function, Layer, first
from sfg_nas.operations import ready, vocabulary
from tests.conversions import pair
from tests.sharing.test_unreached import LOST, chain


def test_a_layer_reads_the_parts_of_its_operand_side_by_side() -> None:
    layer = Layer(nn.Linear(3, 2), operand=1, axis=-1)
    parts = [torch.randn(4, 1), torch.randn(4, 2)]
    found = layer([[torch.zeros(4, 9)], parts], False)
    assert torch.equal(found, layer.module(torch.cat(parts, -1)))


def test_an_operation_gets_its_operands_by_name_and_its_settings() -> None:
    divide = Function(vocabulary()["div.Tensor"], ("self",), None, {"other": 4.0}, False, None)
    assert divide([[torch.tensor([8.0])]], False).tolist() == [2.0]
    chunk = Function(vocabulary()["chunk"], ("self",), 1, {"chunks": 2, "dim": 0}, False, None)
    assert chunk([[torch.arange(4)]], False).tolist() == [2, 3]


def test_an_operation_follows_the_training_flag() -> None:
    drop = Function(
        vocabulary()["dropout"], ("input",), None, {"p": 1.0, "train": False}, False, None
    )
    ones = torch.ones(8)
    assert torch.equal(drop([[ones]], False), ones)
    assert torch.equal(drop([[ones]], True), torch.zeros(8))


def test_a_copy_runs_its_own_module() -> None:
    layer = Layer(nn.Linear(1, 1), 0, -1)
    copy = deepcopy(layer)
    with torch.no_grad():
        copy.module.weight.zero_()  # type: ignore[union-attr,operator]
    x = torch.ones(1, 1)
    assert not torch.equal(layer([[x]], False), copy([[x]], False))
    assert first([[x]], False) is x


def test_gradients_into_what_the_image_does_not_reach_are_damped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    supernet = chain(activation=nn.Sigmoid)
    supernet.harden(supernet.wiring.allocation(torch.tensor(LOST)))
    network = build_network(distill(supernet)).train()
    x = torch.randn(4, 2, 6, 6)

    def gradients() -> dict[str, Tensor]:
        network.zero_grad()
        sum(value.logsumexp(1).mean() for value in network(x).values()).backward()
        return {name: p.grad.clone() for name, p in network.named_parameters()}

    found = gradients()
    monkeypatch.setattr("sfg_nas.fixed.network.damped", lambda value, _damping: value)
    without = gradients()
    dead = "layers.6__a+b.weight"
    assert without[dead].any()
    torch.testing.assert_close(found[dead], math.sqrt(1e-5) * without[dead])
    for name in ("0__a.weight", "3__a.weight", "6__a.weight", "6__b.weight", "7__a+b.bias"):
        torch.testing.assert_close(found[f"layers.{name}"], without[f"layers.{name}"])


def test_a_deep_narrow_branch_of_constants_keeps_gradients_small() -> None:
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    for channels in (2, *[4] * 9):
        parts += [nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.SiLU()]
    heads = {t: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)) for t in "ab"}
    supernet = convert(nn.Sequential(*parts), heads, torch.zeros(2, 2, 8, 8))
    # no shared filter in the first layer, one in each of the others
    supernet.harden(supernet.wiring.allocation(torch.tensor([0, 0, 1, 1, *[0, 0, 1, 2] * 9])))
    network = build_network(distill(supernet)).train()
    for value in network(torch.randn(4, 2, 8, 8)).values():
        value.logsumexp(1).mean().backward(retain_graph=True)
    largest = max(float(p.grad.abs().max()) for p in network.parameters() if p.grad is not None)
    assert largest < 30


@pytest.mark.parametrize("name", ["shuffle", "flatten", "convnext"])
@pytest.mark.parametrize("training", [False, True])
def test_torch_compiles_a_network_as_one_graph(name: str, training: bool) -> None:
    both = pair(name)
    supernet = both.connections
    allocation = random_allocation(supernet, seed=0)
    network = build_network(distill(supernet, allocation), weights=supernet).train(training)
    torch._dynamo.reset()
    compiled = torch.compile(deepcopy(network), backend="eager", fullgraph=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch, about itself
        torch.manual_seed(0)
        found = compiled(both.x)
    torch.manual_seed(0)
    for task, wanted in network(both.x).items():
        torch.testing.assert_close(found[task], wanted)


def test_an_operation_that_is_ready_can_be_copied_and_sent() -> None:
    view = ready(vocabulary()["view"])
    assert view.operation.name == "reshape"
    assert deepcopy(view) == view
    assert pickle.loads(pickle.dumps(view)) == view  # noqa: S301 - our own
