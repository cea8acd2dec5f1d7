"""What a network draws in training and its fixed form does not is found and named; dropout is in both."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx
from torch.nn import functional, utils
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from sfg_nas.sharing import in_training
from tests.networks import Net, StandardisedConv, conv


class DropBlock(nn.Module):
    """Drops places of the map, in training alone."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * torch.empty_like(x[:, :1]).bernoulli_(0.8) / 0.8


def residual(net: Net, x: Tensor) -> Tensor:
    x = net.first(x)
    return x + net.path(net.second(x).relu())


def test_a_module_that_draws_is_named() -> None:
    backbone = Net(residual, first=conv(3, 8), second=conv(8, 8), path=DropBlock())
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    state = torch.get_rng_state()
    assert in_training(backbone.eval(), torch.zeros(1, 3, 8, 8)).draws == ("path (bernoulli_)",)
    assert torch.equal(torch.get_rng_state(), state)
    assert not backbone.training
    assert all(torch.equal(backbone.state_dict()[k], value) for k, value in before.items())


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (lambda x: x + torch.randn_like(x), "randn_like"),
        (lambda x: x * torch.rand(len(x), 1, 1, 1), "rand"),
        (lambda x: x[torch.randperm(len(x))], "randperm"),
        (lambda x: x + torch.empty_like(x).normal_(), "normal_"),
    ],
)
def test_functions_by_which_forward_draws(draw: object, name: str) -> None:
    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x)
        return draw(x) if net.training else x  # type: ignore[operator,no-any-return]

    assert in_training(Net(run, first=conv(3, 8)), torch.zeros(1, 3, 8, 8)).draws == (
        f"forward ({name})",
    )


def test_dropout_stands_in_the_trace() -> None:
    def run(net: Net, x: Tensor) -> Tensor:
        x = functional.dropout(net.first(x), 0.2, net.training)
        return functional.rrelu(net.noise(net.drop(x)), training=net.training)

    backbone = Net(run, first=conv(3, 8), drop=nn.Dropout2d(0.5), noise=nn.FeatureAlphaDropout(0.1))
    assert in_training(backbone, torch.zeros(1, 3, 8, 8)).draws == ()


def test_dropout_of_weights_is_named() -> None:
    class DropConnect(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            weight = functional.dropout(self.weight, 0.3, self.training)
            return functional.conv2d(x, weight, self.bias, padding=1)

    backbone = nn.Sequential(conv(3, 8), DropConnect(8, 8, 3), nn.Dropout(0.5))
    assert in_training(backbone, torch.zeros(1, 3, 8, 8)).draws == ("1 (dropout of weights)",)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize(
    "wrap", [utils.weight_norm, utils.spectral_norm, parametrizations.weight_norm]
)
def test_filters_that_are_computed_are_named(wrap: Callable[[nn.Module], nn.Module]) -> None:
    backbone = nn.Sequential(conv(3, 8), wrap(conv(8, 8)), nn.ReLU(), StandardisedConv(8, 8, 3))
    assert in_training(backbone, torch.zeros(1, 3, 8, 8)).computed == ("1", "3")
    assert in_training(backbone, torch.zeros(1, 3, 8, 8)).draws == ()


def test_masked_filters_are_named() -> None:
    class Masked(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return functional.conv2d(x, weight=self.weight * self.weight.tril(), padding=1)

    backbone = nn.Sequential(Masked(3, 8, 3))
    assert in_training(backbone, torch.zeros(1, 3, 8, 8)).computed == ("0",)


def test_filters_in_another_shape_and_buffers_are_not_computed() -> None:
    class Flat(nn.Conv2d):
        def __init__(self) -> None:
            super().__init__(3, 8, 1)
            self.register_buffer("kernel", torch.ones(8, 1, 3, 3))

        def forward(self, x: Tensor) -> Tensor:
            x = functional.linear(x.movedim(1, -1), self.weight.flatten(1), self.bias)
            return functional.conv2d(x.movedim(-1, 1), self.kernel, groups=8)

    assert in_training(Flat(), torch.zeros(1, 3, 8, 8)).computed == ()


class Reversed(Function):
    """Passes on what it gets, and the opposite of its gradient (Ganin and Lempitsky 2015)."""

    @staticmethod
    def forward(_: FunctionCtx, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(_: FunctionCtx, *gradients: Tensor) -> Tensor:
        return -gradients[0]


class Rounded(Function):
    """Rounds, with the gradient of not rounding; in the newer way to write functions."""

    @staticmethod
    def forward(x: Tensor, parts: int) -> Tensor:
        return (x * parts).round() / parts

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[object, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(_: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class Swish(Function):
    """Keeps its input alone; its gradient is that of what it computes."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        s = x.sigmoid()
        return gradients[0] * (s + x * s * (1 - s))


@pytest.mark.parametrize(
    ("step", "names"),
    [
        (Reversed.apply, ("Reversed",)),
        (lambda x: Rounded.apply(x, 8), ("Rounded",)),
        (Swish.apply, ()),
        (lambda x: checkpoint(torch.relu, x, use_reentrant=True), ()),
        (lambda x: Reversed.apply(Swish.apply(Reversed.apply(x))), ("Reversed",)),
    ],
)
def test_functions_with_a_gradient_of_their_own(
    step: Callable[[Tensor], Tensor], names: tuple[str, ...]
) -> None:
    backbone = Net(lambda net, x: step(net.first(x)), first=conv(3, 8))
    found = in_training(backbone, torch.zeros(1, 3, 8, 8))
    assert found.gradients == names
    assert not found.draws
