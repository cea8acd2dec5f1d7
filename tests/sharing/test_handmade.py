"""Norms that are written by hand: recognised, and shared as those of torch are."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas import convert, scale_width
from sfg_nas.sharing import Supernet
from sfg_nas.sharing.channel_norms import ChannelNorm, DeviationNorm, ResponseNorm
from sfg_nas.sharing.handmade import recognise_norms
from sfg_nas.sharing.trace import trace
from sfg_nas.sharing.traced import BackboneWithHeads
from tests.conversions import allocations, pair_of
from tests.networks import Sample, pooled
from tests.properties import everything_holds, shared_is_original, three_ways_equal


class Affine(nn.Module):
    """Has a scale and an offset of random values."""

    def __init__(self, channels: int, *trailing: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.randn(channels, *trailing))  # before the scale
        self.scale = nn.Parameter(torch.rand(channels, *trailing) + 0.5)
        self.eps = 1e-6


class OverChannels(Affine):
    """As in the code of ConvNeXt and of Segment Anything."""

    def forward(self, x: Tensor) -> Tensor:
        u = x.mean(1, keepdim=True)
        s = (x - u).pow(2).mean(1, keepdim=True)
        x = (x - u) / torch.sqrt(s + self.eps)
        view = (-1, *[1] * (x.dim() - 2))
        return self.scale.view(view) * x + self.offset.view(view)


class OverTokens(Affine):
    """As in the code of Restormer, with the places in a row."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        y = x.permute(0, 2, 3, 1).reshape(n, h * w, c)
        variance = y.var(-1, keepdim=True, unbiased=False)
        y = (y - y.mean(-1, keepdim=True)) / torch.sqrt(variance + 1e-5)
        return (y * self.scale + self.offset).reshape(n, h, w, c).permute(0, 3, 1, 2)


class OverLast(Affine):
    """A part that gets the channels last."""

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, -1, keepdim=True, correction=0)
        return (x - mean) * torch.rsqrt(variance + 1e-3) * self.scale + self.offset


class Turned(nn.Module):
    """Turns a map so that its channels come last, and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = OverLast(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.movedim(1, -1)).movedim(-1, 1)


class RootMeanSquare(nn.Module):
    """Without a mean and with a scale of four dimensions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.rand(1, channels, 1, 1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-8) * self.gain


class Plain(nn.Module):
    """Without parameters, as in progressive GANs."""

    def __init__(self, _channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


class OffsetAlone(nn.Module):
    """With an offset and no scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.randn(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(1, keepdim=True)
        return x / (x.square().mean(1, keepdim=True) + 1e-4).sqrt() + self.shift


class Response(Affine):
    """Global response norm, as in the code of ConvNeXt V2."""

    axis, places = -1, (1, 2)

    def forward(self, x: Tensor) -> Tensor:
        length = torch.norm(x, p=2, dim=self.places, keepdim=True)
        quotient = length / (length.mean(dim=self.axis, keepdim=True) + 1e-6)
        view = (-1,) if self.axis == -1 else (1, -1, 1, 1)
        return self.scale.view(view) * (x * quotient) + self.offset.view(view) + x


class ResponseFirst(Response):
    """With the channels first, and in other operations."""

    axis, places = 1, (2, 3)


class ResponseTurned(Turned):
    """With the channels last in between."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.body = Response(channels)


class Length(nn.Module):
    """As in the code of SSD: a scale, and a division by the length of the channels at each place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(20 * torch.rand(channels) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = x / (x.pow(2).sum(dim=1, keepdim=True).sqrt() + 1e-10)
        return self.gain[None, :, None, None] * x


class LengthOfTorch(nn.Module):
    """The same without a scale, by the function of torch."""

    def __init__(self, _channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return functional.normalize(x, dim=1)


class Deviation(Affine):
    """Divides by the deviation plus eps, as in the code of many a transformer: that with one less."""

    def forward(self, x: Tensor) -> Tensor:
        y = (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + self.eps)
        return self.scale.view(-1, 1, 1) * y + self.offset.view(-1, 1, 1)


class DeviationAlone(nn.Module):
    """The same without parameters, and of all channels."""

    def __init__(self, _channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        deviation = x.var(1, keepdim=True, correction=0).sqrt()
        return (x - x.mean(1, keepdim=True)) / (1e-3 + deviation)


NORMS = (
    Deviation,
    DeviationAlone,
    Length,
    LengthOfTorch,
    OverChannels,
    OverTokens,
    Turned,
    RootMeanSquare,
    Plain,
    OffsetAlone,
    ResponseFirst,
    ResponseTurned,
)


def network(norm: Callable[[int], nn.Module]) -> nn.Module:
    """Return a network with two such norms."""
    torch.manual_seed(1)
    first = [nn.Conv2d(3, 8, 3, padding=1), norm(8), nn.GELU()]
    second = [nn.Conv2d(8, 6, 3, padding=1), norm(6), nn.GELU()]
    return nn.Sequential(*first, *second)


def sample(norm: Callable[[int], nn.Module]) -> Sample:
    """Return it with three heads."""
    heads = {task: pooled(6)(i + 1) for i, task in enumerate("abc")}
    return Sample(network(norm), heads, torch.randn(3, 3, 8, 8), "lattice")


@pytest.mark.parametrize("norm", NORMS)
def test_filters_before_it_are_free_and_all_three_forms_agree(
    norm: Callable[[int], nn.Module],
) -> None:
    both = pair_of(sample(norm))
    assert both.connections.wiring.variables == 8 + 6
    everything_holds(both, allocations(both.connections))


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        (OverChannels, ("scale", "offset", 1, True, 1e-6)),
        (OverLast, ("scale", "offset", -1, True, 1e-3)),
        (RootMeanSquare, ("gain", None, 1, False, 1e-8)),
        (Plain, (None, None, 1, False, 1e-8)),
        (OffsetAlone, (None, "shift", 1, True, 1e-4)),
        (Length, ("gain", None, 1, False, 1e-12)),
        (LengthOfTorch, (None, None, 1, False, 1e-12)),
    ],
)
def test_what_it_is_is_measured(norm: type[nn.Module], expected: tuple[object, ...]) -> None:
    torch.manual_seed(0)
    module = norm(7)
    shape = (2, 5, 5, 7) if norm is OverLast else (2, 7, 5, 5)
    assert recognise_norms(nn.Sequential(module), torch.zeros(shape)) == ["0"]
    found = module.forward
    assert isinstance(found, ChannelNorm)
    assert (found.weight, found.bias, found.axis, found.centred) == expected[:4]
    assert found.eps == pytest.approx(expected[4], rel=0.01)
    assert found.length == (norm in (Length, LengthOfTorch))


@pytest.mark.parametrize(("norm", "axis"), [(Response, -1), (ResponseFirst, 1)])
def test_a_response_norm_is_measured_too(norm: type[nn.Module], axis: int) -> None:
    torch.manual_seed(0)
    module = norm(7)
    x = torch.randn((2, 5, 5, 7) if axis == -1 else (2, 7, 5, 5))
    x.select(axis, 0).zero_()  # a channel that is nothing has gradients
    results = []
    for recognised in (False, True):
        if recognised:
            assert recognise_norms(nn.Sequential(module), x) == ["0"]
            found = module.forward
            assert isinstance(found, ResponseNorm)
            assert (found.weight, found.bias, found.axis) == ("scale", "offset", axis)
            assert found.eps == pytest.approx(1e-6, rel=0.01)
        leaf = x.clone().requires_grad_()
        y = module(leaf)
        (y.square() * torch.linspace(1, 2, y.numel()).view_as(y)).sum().backward()
        results.append((y.detach(), leaf.grad))
    for plain, other in zip(*results, strict=True):
        torch.testing.assert_close(other, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        (Deviation, ("scale", "offset", 7 / 6, 1e-6)),
        (DeviationAlone, (None, None, 1, 1e-3)),
    ],
)
@pytest.mark.parametrize("level", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("spread", [0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-2, 1.0, 1e3])
def test_what_is_added_to_the_deviation_is_measured_and_counts_where_it_is_small(
    norm: type[nn.Module], expected: tuple[object, ...], level: float, spread: float
) -> None:
    torch.manual_seed(0)
    module = norm(7)
    x = level + spread * torch.randn(2, 7, 5, 5)
    with torch.no_grad():
        plain, exact = module(x), module.double()(x.double())
    module.float()
    assert recognise_norms(nn.Sequential(module), x) == ["0"]
    found = module.forward
    assert isinstance(found, DeviationNorm)
    assert (found.weight, found.bias, found.axis) == (*expected[:2], 1)
    assert found.share**2 == pytest.approx(expected[2])
    assert found.eps == pytest.approx(expected[3], rel=0.01)
    rounding = float((plain.double() - exact).abs().max()) + 1e-7 * level / (spread + found.eps)
    with torch.no_grad():
        assert float((module(x).double() - exact).abs().max()) < 1e-5 + 4 * rounding
    leaf = x.clone().requires_grad_()
    module(leaf).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()


def test_rank_and_size_are_those_of_the_network() -> None:
    torch.manual_seed(0)
    for shape in ((2, 5, 9), (2, 5, 9, 8), (2, 5, 4, 4, 4), (2, 5)):
        module = OverChannels(5)
        x = 3 * torch.randn(shape) + 1
        expected = module(x)
        assert recognise_norms(nn.Sequential(module), torch.zeros(shape)) == ["0"]
        torch.testing.assert_close(module(x), expected)


class AbsoluteDeviation(Affine):
    """Divides by the mean absolute deviation."""

    def forward(self, x: Tensor) -> Tensor:
        y = x - x.mean(1, keepdim=True)
        y = y / (y.abs().mean(1, keepdim=True) + self.eps)
        return self.scale.view(-1, 1, 1) * y + self.offset.view(-1, 1, 1)


class WithActivation(OverChannels):
    """Does more than to normalise."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(super().forward(x))


class InEvaluationAlone(OverChannels):
    """Does something else in training."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x) if self.training else super().forward(x)


class OverPlaces(Affine):
    """Takes the statistics of each channel by itself."""

    def forward(self, x: Tensor) -> Tensor:
        y = x - x.mean((2, 3), keepdim=True)
        y = y / (y.square().mean((2, 3), keepdim=True) + self.eps).sqrt()
        return self.scale.view(-1, 1, 1) * y + self.offset.view(-1, 1, 1)


class ByTorch(OverChannels):
    """Calls the function of torch itself."""

    def forward(self, x: Tensor) -> Tensor:
        y = functional.layer_norm(x.movedim(1, -1), self.scale.shape, self.scale, self.offset)
        return y.movedim(-1, 1)


class Detached(OverChannels):
    """Takes its statistics for constants."""

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, 1, keepdim=True, correction=0)
        y = (x - mean.detach()) * torch.rsqrt(variance.detach() + self.eps)
        return self.scale.view(-1, 1, 1) * y + self.offset.view(-1, 1, 1)


class ResponseAlone(Affine):
    """A global response norm without its offset."""

    def forward(self, x: Tensor) -> Tensor:
        g = x.norm(p=2, dim=(2, 3), keepdim=True)
        return self.scale.view(-1, 1, 1) * x * g / (g.mean(1, keepdim=True) + 1e-6) + x


@pytest.mark.parametrize(
    "other",
    [
        AbsoluteDeviation,
        WithActivation,
        InEvaluationAlone,
        OverPlaces,
        ByTorch,
        Detached,
        ResponseAlone,
    ],
)
def test_what_is_something_else_is_left_alone(other: type[nn.Module]) -> None:
    net = network(other)
    assert recognise_norms(net, torch.zeros(2, 3, 8, 8)) == []
    assert not any("forward" in vars(module) for module in net.modules())


def test_the_users_modules_stay_as_they_are_and_copies_run_their_own() -> None:
    given = sample(OverChannels)
    net = convert(given.backbone, given.heads, given.x, groups=given.groups)
    assert not any("forward" in vars(module) for module in given.backbone.modules())
    assert set(net.plain_state()) == set(
        BackboneWithHeads(given.backbone, given.heads).state_dict()
    )
    twin = copy.deepcopy(net)
    with torch.no_grad():
        scale = twin.get_parameter("network.backbone.1.scale")
        scale.mul_(3.0)
    outputs, changed = net.eval()(given.x), twin.eval()(given.x)
    assert not torch.allclose(outputs["a"], changed["a"])
    with torch.no_grad():
        scale.div_(3.0)
    torch.testing.assert_close(twin(given.x), outputs)


def test_a_network_that_does_not_run_is_for_the_trace_to_refuse() -> None:
    net = nn.Sequential(nn.Conv2d(4, 8, 3), OverChannels(8))
    assert recognise_norms(net, torch.zeros(2, 3, 8, 8)) == []


def test_a_block_of_the_paper_that_introduced_it_can_be_searched() -> None:
    class Block(nn.Module):
        def __init__(self, dim: int) -> None:
            super().__init__()
            self.dwconv = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
            self.norm = OverChannels(dim)
            self.up, self.down = nn.Conv2d(dim, 4 * dim, 1), nn.Conv2d(4 * dim, dim, 1)
            self.gamma = nn.Parameter(torch.rand(dim, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            y = functional.gelu(self.up(self.norm(self.dwconv(x))))
            return x + self.gamma * self.down(y)

    torch.manual_seed(0)
    stem = [nn.Conv2d(3, 6, 2, stride=2), OverChannels(6)]
    backbone = nn.Sequential(*stem, Block(6), Block(6), OverChannels(6))
    heads = {task: pooled(6)(2) for task in "ab"}
    both = pair_of(Sample(backbone, heads, torch.randn(3, 3, 8, 8), "specialists"))
    assert both.connections.wiring.variables == 6 + 24 + 24
    for allocation in allocations(both.connections).values():
        three_ways_equal(both, allocation)
    shared_is_original(both)


@pytest.mark.parametrize("norm", NORMS)
def test_the_network_can_be_made_narrower(norm: Callable[[int], nn.Module]) -> None:
    x = torch.randn(2, 3, 8, 8)
    narrow = scale_width(network(norm), 0.5, x)
    assert narrow(x).shape == (2, 3, 8, 8)
    assert all(value.numel() in (3, 4) for value in narrow.parameters() if value.dim() < 4)


def test_the_trace_has_one_norm_for_each() -> None:
    given = sample(OverChannels)
    twin = BackboneWithHeads(given.backbone, given.heads)
    recognise_norms(twin, given.x)
    operations = [op.operation for op in trace(twin, given.x).ops]
    assert operations.count("layer_norm") == 2
    assert isinstance(convert(given.backbone, given.heads, given.x), Supernet)
