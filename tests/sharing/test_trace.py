"""Networks whose graphs need more than reading: rewritten operators, constants, hidden calls."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from sfg_nas.cost import count_params
from sfg_nas.errors import ConversionError
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import BackboneWithHeads, convert, random_allocation
from tests.conversions import Pair, allocations, as_streams, layer_by_layer, pair_of
from tests.networks import Net, Sample, StandardisedConv, conv, pooled
from tests.properties import (
    foreign_gradients_are_zero,
    reading_rule_holds,
    shared_is_original,
    three_ways_equal,
)


def in_place(net: Net, x: Tensor) -> Tensor:
    x = net.one(x)
    y = net.two(x)
    y += x
    z = torch.zeros_like(y)
    z[:, ::2] = y[:, 1::2]
    z[:, 1::2, 1:] = functional.relu(y[:, ::2, :-1])
    z[:, :1] = 0.25
    return net.last(z)


def coordinates(net: Net, x: Tensor) -> Tensor:
    n, _, h, w = x.shape
    rows = torch.linspace(-1, 1, h).view(1, 1, h, 1).expand(n, 1, h, w).to(x)
    columns = torch.linspace(-1, 1, w).view(1, 1, 1, w).expand(n, 1, h, w).to(x)
    x = functional.relu(net.one(x))
    return net.last(torch.cat([rows, x, columns], 1))


def by_index(net: Net, x: Tensor) -> Tensor:
    return net.last(functional.relu(net.one(x)[:, [5, 0, 3, 1, 2, 4]]))


def windows(net: Net, x: Tensor) -> Tensor:
    """Return an involution: windows of each channel under weights that activations give."""
    x = net.one(x)
    n, c, h, w = x.shape
    kernel = net.gate(x).view(n, 1, 9, h, w)
    unfolded = functional.unfold(x, 3, padding=1).view(n, c, 9, h, w)
    return net.last((unfolded * kernel).sum(2))


def by_einsum(net: Net, x: Tensor) -> Tensor:
    x = net.one(x)
    return net.last(x * torch.einsum("nchw,c->nhw", x, net.vector).sigmoid().unsqueeze(1))


def root_mean_square(net: Net, x: Tensor) -> Tensor:
    x = functional.rms_norm(net.one(x).permute(0, 2, 3, 1), (6,), net.vector)
    return net.last(x.permute(0, 3, 1, 2))


def largest_places(net: Net, x: Tensor) -> Tensor:
    x = net.one(x)
    best = x.flatten(2).topk(3, -1)[0].mean(-1)
    return net.last(x.masked_fill(x < -1, 0.0) * best[:, :, None, None])


def attention(net: Net, x: Tensor) -> Tensor:
    x = functional.avg_pool2d(net.one(x), 2)
    tokens = x.flatten(2).transpose(1, 2)
    tokens = tokens + net.attention(tokens, tokens, tokens, need_weights=False)[0]
    return net.last(tokens.transpose(1, 2).reshape(x.shape))


def stem(**parts: object) -> dict[str, object]:
    return {"one": conv(3, 6), "last": conv(6, 6), **parts}


def old_weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that the new form is better
        return nn.Sequential(nn.utils.weight_norm(conv(3, 6)), nn.ReLU(), conv(6, 6))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "in place, norms": lambda: Net(
        in_place,
        one=nn.Sequential(conv(3, 6), nn.BatchNorm2d(6), nn.InstanceNorm2d(6, affine=True)),
        two=nn.Sequential(conv(6, 6), nn.GroupNorm(2, 6)),
        last=nn.Sequential(conv(6, 6), nn.BatchNorm2d(6, track_running_stats=False)),
    ),
    "in place": lambda: Net(in_place, **stem(two=conv(6, 6))),
    "coordinates": lambda: Net(coordinates, one=conv(3, 6), last=conv(8, 6)),
    "index": lambda: Net(by_index, **stem()),
    "unfold": lambda: Net(windows, **stem(gate=conv(6, 9, 1))),
    "einsum": lambda: Net(by_einsum, **stem(vector=nn.Parameter(torch.randn(6)))),
    "rms norm": lambda: Net(root_mean_square, **stem(vector=nn.Parameter(torch.rand(6) + 0.5))),
    "topk": lambda: Net(largest_places, **stem()),
    "attention": lambda: Net(
        attention, **stem(attention=nn.MultiheadAttention(6, 2, batch_first=True))
    ),
    "weight norm": lambda: nn.Sequential(
        parametrizations.weight_norm(conv(3, 6)), nn.SiLU(), conv(6, 6)
    ),
    "old weight norm": old_weight_norm,
}


def prepared(backbone: nn.Module) -> Pair:
    """Return both forms of a backbone with three pooled heads."""
    x = torch.randn(5, 3, 8, 8)
    heads = {"age": pooled(6)(1), "sex": pooled(6)(2), "kind": pooled(6)(3)}
    connections = convert(backbone, heads, x)
    original = BackboneWithHeads(backbone, heads)
    original.load_state_dict(connections.plain_state())
    return Pair(original, connections, as_streams(connections, original), x)


@pytest.mark.parametrize("name", NETWORKS)
def test_unusual_networks_are_followed(name: str) -> None:
    both = prepared(NETWORKS[name]())
    if name != "attention":  # the graph counts fused attention's MACs, PyTorch's counter does not
        shared_is_original(both)
    for allocation in (
        random_allocation(both.connections, seed=2),
        layer_by_layer(both.connections),
    ):
        three_ways_equal(both, allocation)
        reading_rule_holds(both.connections, allocation, both.x)


def test_only_what_mixes_is_tied() -> None:
    for name, variables in (("in place", 12), ("coordinates", 12), ("index", 12), ("unfold", 7)):
        assert prepared(NETWORKS[name]()).connections.wiring.variables == variables, name


def test_filters_of_a_spectral_norm_share_a_group() -> None:
    backbone = nn.Sequential(conv(3, 6), nn.ReLU(), parametrizations.spectral_norm(conv(6, 6)))
    backbone.eval()
    both = prepared(backbone)
    assert both.connections.wiring.variables == 6 + 1
    allocation = random_allocation(both.connections, seed=1)
    three_ways_equal(both, allocation)
    reading_rule_holds(both.connections, allocation, both.x)


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "householder", "cayley"])
def test_filters_of_an_orthogonal_map_share_a_group(orthogonal_map: str) -> None:
    layer = parametrizations.orthogonal(nn.Linear(6, 6), orthogonal_map=orthogonal_map)
    last = Net(lambda net, x: net.layer(x.movedim(1, -1)).movedim(-1, 1), layer=layer)
    both = prepared(nn.Sequential(conv(3, 6), nn.ReLU(), last))
    assert both.connections.wiring.variables == 6 + 1
    allocation = random_allocation(both.connections, seed=1)
    three_ways_equal(both, allocation)
    reading_rule_holds(both.connections, allocation, both.x)
    foreign_gradients_are_zero(both.connections, allocation, both.x)


def data_dependent(net: Net, x: Tensor) -> Tensor:
    x = net.one(x)
    return net.last(x if x.mean() > 0 else -x)


def kernels_for_each(net: Net, x: Tensor) -> Tensor:
    x = net.one(x)
    kernels = net.last.weight * x.mean((1, 2, 3)).view(-1, 1, 1, 1, 1)
    y = functional.conv2d(x.flatten(0, 1)[None], kernels.flatten(0, 1), groups=x.shape[0])
    return y.view(x.shape[0], -1, *y.shape[2:])


class Outer(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


@pytest.mark.parametrize(
    ("run", "operation"),
    [
        (data_dependent, "item"),
        (lambda net, x: net.last(torch.fft.fft2(net.one(x)).real), "fft_fft2"),
        (kernels_for_each, "conv2d with a weight computed from activations"),
        (lambda net, x: net.last(net.one(x)[:, :5]), "to have 6 channels"),
        (
            lambda net, x: net.last(net.one(x)[:, net.one.bias > -9]),
            "index.Tensor, whose size .* decide",
        ),
    ],
    ids=["control flow", "unknown", "computed weight", "does not run", "truths choose"],
)
def test_refusals_name_module_and_operation(
    run: Callable[[Net, Tensor], Tensor], operation: str, capfd: pytest.CaptureFixture[str]
) -> None:
    backbone = Outer(Net(run, **stem()))
    with pytest.raises(ConversionError, match=operation) as caught:
        convert(backbone, {"age": pooled(6)(1)}, torch.randn(6, 3, 8, 8))
    assert "`backbone.inner" in str(caught.value)
    assert capfd.readouterr().err == ""  # one message of ours, no log of torch's


def test_a_conversion_leaves_the_users_module_and_the_random_stream_alone() -> None:
    backbone, heads = NETWORKS["in place"](), {"age": pooled(6)(1), "sex": pooled(6)(2)}
    for parameter in backbone.one.parameters():
        parameter.requires_grad_(False)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    stream = torch.get_rng_state()
    supernet = convert(backbone.eval(), heads, torch.randn(1, 3, 8, 8, dtype=torch.float32))
    assert not supernet.training
    # the example above moved the stream once; the conversion must not move it again
    torch.set_rng_state(stream)
    torch.randn(1, 3, 8, 8)
    expected = torch.get_rng_state()
    torch.set_rng_state(stream)
    convert(backbone.train(), heads, torch.randn(1, 3, 8, 8))
    assert torch.equal(torch.get_rng_state(), expected)
    after = backbone.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(p.requires_grad for p in backbone.one.parameters())


def test_a_backbone_may_be_a_single_layer() -> None:
    heads = {
        task: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))
        for task in ("a", "b")
    }
    supernet = convert(nn.Conv2d(3, 6, 3), heads, torch.zeros(2, 3, 8, 8))
    assert [len(rows) for rows in supernet.wiring.layers.values()] == [6]


@pytest.mark.parametrize("function", [torch.var_mean, torch.std_mean])
def test_two_statistics_at_once_are_followed_as_two(
    function: Callable[..., tuple[Tensor, Tensor]],
) -> None:
    def standardised(net: Net, x: Tensor) -> Tensor:
        y = net.first(x)
        spread, mean = function(y, (2, 3), keepdim=True, correction=0)
        return net.second((y - mean) / (spread + 0.1))

    backbone = Net(standardised, first=nn.Conv2d(3, 8, 3), second=nn.Conv2d(8, 8, 3))
    both = pair_of(
        Sample(backbone, {t: pooled(8)(1) for t in "ab"}, torch.randn(3, 3, 8, 8), "lattice")
    )
    assert both.connections.wiring.variables == 16
    for allocation in allocations(both.connections).values():
        three_ways_equal(both, allocation)


@pytest.mark.parametrize(
    "again",
    [StandardisedConv(6, 6, 3, bias=False), parametrizations.weight_norm(conv(6, 6, bias=False))],
    ids=["standardised", "weight norm"],
)
def test_a_weight_that_is_computed_anew_in_each_call_is_one(again: nn.Module) -> None:
    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x)
        for _ in range(3):
            x = torch.tanh(net.again(x))
        return x

    both = prepared(Net(run, first=conv(3, 6), again=again))
    supernet = both.connections
    assert [len(rows) for rows in supernet.wiring.layers.values()] == [6, 6]
    assert supernet.wiring.choices.filters == 12
    for seed in range(3):
        allocation = random_allocation(supernet, seed=seed)
        three_ways_equal(both, allocation)
        foreign_gradients_are_zero(supernet, allocation, both.x)
        fixed = build_network(distill(supernet, allocation))
        assert count_params(fixed) <= count_params(both.original)


def test_single_channels_are_taken_out_and_put_together() -> None:
    def concatenated(net: Net, x: Tensor) -> Tensor:
        channels = [channel.unsqueeze(1) for channel in net.first(x).unbind(1)]
        return net.second(torch.cat(channels[::-1], 1))

    def stacked(net: Net, x: Tensor) -> Tensor:
        x = net.first(x)
        return net.second(torch.stack([x[:, 3], *x.unbind(1)[1:], x[:, 3].relu()][::-1], -3))

    for turned, channels in ((concatenated, 6), (stacked, 7)):
        both = prepared(Net(turned, first=conv(3, 6), second=conv(channels, 6)))
        assert both.connections.wiring.variables == 12
        for seed in range(3):
            three_ways_equal(both, random_allocation(both.connections, seed=seed))
