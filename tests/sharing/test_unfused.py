"""Layers of PyTorch that would go around masks and norms do not, and checkpoints train."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from sfg_nas import build_network, convert, distill, random_allocation
from tests.networks import Net, pooled
from tests.properties import foreign_gradients_are_zero


def encoder(norm_first: bool, container: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=norm_first)
    body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False) if container else layer

    def run(net: Net, x: Tensor) -> Tensor:
        x = torch.relu(net.stem(x))
        tokens = net.body(x.flatten(2).transpose(1, 2))
        return net.last(tokens.transpose(1, 2).view(x.shape))

    return Net(run, stem=nn.Conv2d(3, 8, 3, padding=1), body=body, last=nn.Conv2d(8, 6, 1))


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("container", [False, True])
def test_an_encoder_layer_is_the_same_without_gradients(norm_first: bool, container: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 4)
    net = encoder(norm_first, container)
    supernet = convert(net, {task: pooled(6)(2) for task in "ab"}, x).eval()
    supernet.harden(random_allocation(supernet, seed=1))
    fixed = build_network(distill(supernet, random_allocation(supernet, seed=1)), weights=supernet)
    expected = supernet(x)
    with torch.no_grad():
        found, compact = supernet(x), fixed.eval()(x)
    for task, output in expected.items():
        torch.testing.assert_close(found[task], output.detach(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(compact[task], output.detach(), rtol=1e-5, atol=1e-6)


def plain(block: nn.Module, x: Tensor) -> Tensor:
    result: Tensor = block(x)
    return result


def again(block: nn.Module, x: Tensor) -> Tensor:
    result: Tensor = checkpoint(block, x)  # reentrant, as torch has it by default
    return result


def in_parts(block: nn.Module, x: Tensor) -> Tensor:
    result: Tensor = checkpoint_sequential(block, 2, x, use_reentrant=True)
    return result


@pytest.mark.parametrize("way", [again, in_parts])
@pytest.mark.parametrize("relaxation", ["connections", "streams"])
def test_reentrant_checkpoints_train_a_relaxed_supernet(
    way: Callable[[nn.Module, Tensor], Tensor], relaxation: str
) -> None:
    def conv() -> nn.Module:
        return nn.Conv2d(8, 8, 3, padding=1)

    gradients = []
    for chosen in (plain, way):
        torch.manual_seed(0)
        block = nn.Sequential(conv(), nn.GroupNorm(2, 8), nn.ReLU(), conv())

        def run(net: Net, x: Tensor, chosen: Callable[..., Tensor] = chosen) -> Tensor:
            return net.last(chosen(net.block, net.first(x).relu()))

        net = Net(run, first=nn.Conv2d(3, 8, 3), block=block, last=nn.Conv2d(8, 6, 1))
        x = torch.randn(3, 3, 8, 8)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            heads = {task: pooled(6)(1) for task in "ab"}
            supernet = convert(net, heads, x, relaxation=relaxation).train()  # type: ignore[arg-type]
            torch.stack([out.square().sum() for out in supernet(x).values()]).sum().backward()
        gradients.append({n: p.grad for n, p in supernet.named_parameters()})
    for name, gradient in gradients[0].items():
        other = gradients[1][name]
        assert gradient is not None
        assert other is not None
        torch.testing.assert_close(other, gradient, rtol=1e-4, atol=1e-6)


class Remembering(nn.Module):
    """Calls norms and layers itself, some of them in functions that are run again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 1)
        self.weight, self.turned = (nn.Parameter(torch.randn(8, 8) / 3) for _ in range(2))
        self.part = nn.Conv2d(8, 8, 1)
        self.run: Callable[..., Tensor] = checkpoint

    def forward(self, x: Tensor) -> Tensor:
        x = functional.layer_norm(self.first(x).movedim(1, -1), (8,), eps=1e-3).movedim(-1, 1)
        for block in (self.one, self.two):
            x = self.run(block, x, use_reentrant=False)
        return self.last(torch.einsum("bchw,oc->bohw", x, self.weight))

    def one(self, x: Tensor) -> Tensor:
        x = functional.normalize(functional.gelu(self.part(x)))
        return functional.layer_norm(x.movedim(1, -1), (8,)).movedim(-1, 1)

    def two(self, x: Tensor) -> Tensor:
        x = torch.einsum("bchw,co->bohw", x, self.turned)
        return functional.gelu(functional.layer_norm(x.movedim(1, -1), (8,)).movedim(-1, 1))


def without_checkpoint(block: Callable[[Tensor], Tensor], x: Tensor, **_: object) -> Tensor:
    return block(x)


def test_calls_within_a_checkpoint_are_answered_alike_when_it_is_run_again() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 3, 8, 8)
    heads = {task: pooled(6)(1) for task in "ab"}
    original = convert(Remembering(), heads, x).train()
    assert original.wiring.variables == 8 + 8 + 8 + 8 + 6
    gradients = []
    for run in (checkpoint, without_checkpoint):
        supernet = copy.deepcopy(original)  # with the masks it would draw
        supernet.network.backbone.run = run
        for _ in range(2):
            torch.stack([out.square().sum() for out in supernet(x).values()]).sum().backward()
        gradients.append({n: p.grad for n, p in supernet.named_parameters()})
    for name, gradient in gradients[1].items():
        assert gradient is not None
        torch.testing.assert_close(gradients[0][name], gradient, rtol=1e-4, atol=1e-5)


def test_a_checkpoint_trains_no_filters_of_others() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 3, 8, 8)
    supernet = convert(Remembering(), {task: pooled(6)(1) for task in "ab"}, x).train()
    allocation = random_allocation(supernet, seed=1)
    foreign_gradients_are_zero(supernet, allocation, x)
