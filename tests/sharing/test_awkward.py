"""Networks written in ways that are hard to follow."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas.errors import ConversionError
from sfg_nas.fixed import distill
from sfg_nas.sharing import convert, random_allocation
from tests.conversions import pair_of
from tests.networks import HeadBuilder, Net, Sample, linear, pooled
from tests.properties import shared_is_original, three_ways_equal


def tied_and_in_place() -> nn.Module:
    """Two convolutions with one weight, and operations that change their argument."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = functional.relu_(net.first(x))
        y = net.norm(net.one(x))
        y += x
        z = net.two(y)
        z.mul_(torch.sigmoid(z.mean((2, 3), keepdim=True)))
        return z.clamp_(min=-1)

    one, two = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, bias=False)
    two.weight = one.weight
    first = nn.Conv2d(3, 8, 3, padding=1)
    return Net(run, first=first, one=one, two=two, norm=nn.GroupNorm(2, 8))


def nested_outputs() -> nn.Module:
    """Chunks, a list of maps that are concatenated, pixel shuffle, and maps inside lists in a dict."""

    def run(net: Net, x: Tensor) -> object:
        x = functional.gelu(net.first(x))
        up = functional.interpolate(net.up(x), scale_factor=0.5, mode="bilinear")
        left, right = up.chunk(2, 1)
        maps = [left]
        for layer in net.layers:
            maps.append(functional.leaky_relu(layer(maps[-1] + right), 0.1))
        joined = torch.cat([*maps[1:], right], 1)
        out = functional.pixel_shuffle(net.last(joined[:, :8]), 2)
        return {"maps": [out, {"deep": maps}], "right": (right,)}

    layers = nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1) for _ in range(3)])
    first, last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 1)
    up = nn.ConvTranspose2d(8, 8, 4, 2, 1, groups=4)
    return Net(run, first=first, up=up, layers=layers, last=last)


def nested_head(outputs: int) -> nn.Module:
    def run(net: Net, found: object) -> Tensor:
        maps = found["maps"]
        means = [maps[0].mean((2, 3)), maps[1]["deep"][-1].amax((2, 3))]
        return net.layer(torch.cat([*means, found["right"][0].mean((2, 3))], 1))

    return Net(run, layer=nn.Linear(12, outputs))


def layer_norm_by_hand() -> nn.Module:
    """A norm over the channels written with means, and a broadcast scale."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x)
        mean = x.mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt((x - mean).pow(2).mean(1, keepdim=True) + 1e-6)
        return functional.relu(net.last(net.scale[:, None, None] * x)).mean((-2, -1))

    scale = nn.Parameter(torch.ones(8))
    return Net(run, first=nn.Conv2d(3, 8, 3), last=nn.Conv2d(8, 8, 1), scale=scale)


def scaled_in_three_dimensions() -> nn.Module:
    """ConvNeXt's block in 3-D, ended by a log-sum-exp over all places."""

    def run(net: Net, x: Tensor) -> Tensor:
        x = net.stem(x)
        y = net.up(net.norm(net.depthwise(x).permute(0, 2, 3, 4, 1)))
        y = net.down(functional.gelu(y)) * net.scale
        return (x + y.permute(0, 4, 1, 2, 3)).flatten(2).logsumexp(-1)

    return Net(
        run,
        stem=nn.Conv3d(1, 6, 3, padding=1),
        depthwise=nn.Conv3d(6, 6, 3, padding=1, groups=6),
        norm=nn.LayerNorm(6),
        up=nn.Linear(6, 12),
        down=nn.Linear(12, 6),
        scale=nn.Parameter(torch.full((6,), 0.3)),
    )


@pytest.mark.parametrize(
    ("backbone", "head", "image"),
    [
        (tied_and_in_place, pooled(8), (3, 8, 8)),
        (nested_outputs, nested_head, (3, 8, 8)),
        (layer_norm_by_hand, linear(8), (3, 8, 8)),
        (scaled_in_three_dimensions, linear(6), (1, 5, 6, 4)),
    ],
)
def test_three_ways_and_everything_shared(
    backbone: object, head: HeadBuilder, image: tuple[int, ...]
) -> None:
    heads = {task: head(i + 1) for i, task in enumerate("abc")}
    both = pair_of(Sample(backbone(), heads, torch.randn(3, *image), "lattice"))
    three_ways_equal(both, random_allocation(both.connections, seed=1))
    shared_is_original(both)


def test_what_cannot_be_followed_is_named() -> None:
    inner = Net(lambda net, x: torch.fft.rfft2(net.layer(x)).abs(), layer=nn.Conv2d(3, 4, 1))
    heads = {task: pooled(4)(1) for task in "ab"}
    with pytest.raises(ConversionError, match=r"module `backbone.1`.*fft_rfft2"):
        convert(nn.Sequential(nn.ReLU(), inner), heads, torch.randn(2, 3, 8, 8))


@pytest.mark.parametrize("relaxation", ["connections", "streams"])
def test_a_tied_weight_is_trained_and_punished_as_one(relaxation: str) -> None:
    heads = {task: pooled(8)(1) for task in "ab"}
    x = torch.randn(3, 3, 8, 8)
    supernet = convert(tied_and_in_place(), heads, x, relaxation=relaxation)
    supernet.weight_penalty().backward()
    graph = distill(supernet)
    weights = [graph.node(n)["params"].get("weight") for n in graph.graph]
    assert all(record["trained"] for record in weights if record is not None)
