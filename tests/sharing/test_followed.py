"""What has no gradient in a user's network has none in its fixed network, either."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx
from torch.utils.checkpoint import checkpoint

from sfg_nas import build_network, convert, distill, random_allocation
from sfg_nas.fixed.export import export_program, export_source
from tests.networks import Net, block, conv, pooled
from tests.sharing.test_side_by_side import APART, converted


def rounded(net: Net, x: Tensor) -> Tensor:
    x = net.one(x)
    x = x + (torch.round(4 * x) / 4 - x).detach()  # straight through
    return net.two(x).relu()


def by_its_data(net: Net, x: Tensor) -> Tensor:
    x = net.one(x)
    return net.two(x / (1 + x.data.abs().mean((2, 3), keepdim=True))).relu()


def encoder_is_kept(net: Net, x: Tensor) -> Tensor:
    with torch.no_grad():
        x = net.one(x)
    return net.two(x).relu()


def gates_are_given(net: Net, x: Tensor) -> Tensor:
    x = net.one(x)
    with torch.no_grad():
        first, second = torch.sigmoid(net.two(x)).chunk(2, 1)
        gates = torch.cat([second, first], 1).mul_(0.5)
    return net.three(x * gates) + x.detach()


def run_again(net: Net, x: Tensor) -> Tensor:
    x = checkpoint(net.two, net.one(x), use_reentrant=True)  # without gradients, and then once more
    return net.three(x).relu()


class Softened(Function):
    """Computes without gradients what it gives the right ones of."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        with torch.no_grad():
            return x * x.sigmoid()

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        s = x.sigmoid()
        result: Tensor = gradients[0] * (s + x * s * (1 - s))
        return result


softened = Softened.apply  # as many modules keep it


def by_a_function(net: Net, x: Tensor) -> Tensor:
    x = softened(net.one(x))
    return net.two(x).relu()


def changed_where_it_is_seen(net: Net, x: Tensor) -> Tensor:
    x = net.one(x) + 1
    x.detach()[:, :, 0] *= 0.5  # values, not gradients
    y = x.detach()
    x.mul_(0.5)
    return net.two(x * y).relu()


def and_changes_in_place(net: Net, x: Tensor) -> Tensor:
    x = net.one(x) + 1
    x[:, :, 1:] = 2 * x[:, :, :-1].detach()  # made functional, a program has such steps of its own
    return net.two(x).relu()


NETWORKS: dict[str, Callable[[Net, Tensor], Tensor]] = {
    forward.__name__.replace("_", " "): forward
    for forward in (
        rounded,
        by_its_data,
        encoder_is_kept,
        gates_are_given,
        run_again,
        by_a_function,
        and_changes_in_place,
    )
}


def made(forward: Callable[[Net, Tensor], Tensor]) -> nn.Module:
    return Net(forward, one=block(3, 6), two=conv(6, 6), three=conv(6, 6))


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # of checkpoints
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_the_fixed_network_trains_as_the_supernet_does(name: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 8, 8, dtype=torch.double)
    heads = {task: pooled(6)(2).double() for task in "ab"}
    supernet = convert(made(NETWORKS[name]).double(), heads, x)
    allocation = random_allocation(supernet, seed=1)
    fixed = build_network(distill(supernet, allocation), weights=supernet).train()
    supernet.harden(allocation).train()
    for net in (supernet, fixed):
        optimiser = torch.optim.SGD(net.parameters(), 0.1)
        for _ in range(3):
            optimiser.zero_grad()
            torch.stack([(y - 1).square().mean() for y in net(x).values()]).sum().backward()
            optimiser.step()
    found, expected = fixed.eval()(x), supernet.eval()(x)
    for task, output in expected.items():
        torch.testing.assert_close(found[task], output)


def test_a_value_that_is_changed_in_place_is_what_it_was() -> None:
    x = torch.randn(2, 3, 8, 8)
    supernet = convert(made(changed_where_it_is_seen), {task: pooled(6)(2) for task in "ab"}, x)
    network = build_network(distill(supernet), weights=supernet).eval()
    expected = supernet.harden(supernet.allocation()).eval()(x)
    for task, output in network(x).items():
        torch.testing.assert_close(output, expected[task])


def test_it_is_exported(tmp_path: Path) -> None:
    x = torch.randn(2, 3, 8, 8)
    heads = {task: pooled(6)(2) for task in "ab"}
    supernet = convert(made(gates_are_given), heads, x)
    network = build_network(distill(supernet), weights=supernet).eval()
    assert "detach" in {
        network.architecture.node(name)["op"] for name in network.architecture.graph
    }
    export_source(network, tmp_path)
    assert ".detach(" in (tmp_path / "network.py").read_text()
    export_program(network, tmp_path)


def test_a_program_that_is_taken_apart_gets_no_such_steps() -> None:
    operations = [op.operation for op in converted(APART["einsum"]).wiring.network.ops]
    assert operations.count("bmm") == 2
    assert operations.count("clone") == 4  # of the products, as PyTorch writes them
    assert "detach" not in operations
