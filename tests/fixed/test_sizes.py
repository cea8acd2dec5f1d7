"""Fixed networks on images of other sizes than the example: the same as the supernet, or an error, never something else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import sfg_nas
from sfg_nas.errors import ArchitectureError
from sfg_nas.fixed import FixedNetwork, network_source
from sfg_nas.fixed.sizes import Sizes
from sfg_nas.sharing import Supernet

EXAMPLE = (16, 16)
OTHERS = [(24, 20), (32, 32), (8, 16), (15, 21)]


class Net(nn.Module):
    """Two convolutions, the second of half the size, and what is made of both."""

    def __init__(self, joined: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1, stride=2)
        self.joined = joined

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x).relu()
        return self.joined(x, first, self.second(first).relu())


def resized(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


def attended(x: Tensor) -> Tensor:
    flat = x.flatten(2)
    weights = (flat.transpose(1, 2) @ flat).softmax(-1)
    return (flat @ weights).view(x.shape)


FOLLOW = {
    "skip": lambda _, a, b: torch.cat([a, resized(b, a)], 1),
    "to the image": lambda x, _, b: resized(b, x),
    "pooled and back": lambda _, __, b: b * resized(b.mean((2, 3), keepdim=True), b),
    "gate": lambda _, a, b: a * b.mean((2, 3)).view(len(a), 8, 1, 1).expand_as(a).sigmoid(),
    "flat places": lambda _, a, __: a * a.view(len(a), 8, -1).amax(2)[..., None, None],
    "attention": lambda _, __, b: attended(b),
    "zeros": lambda _, __, b: torch.cat([b, torch.zeros_like(b)], 1),
}
REFUSED = {
    "mean by hand": lambda _, a, __: a.sum((2, 3), keepdim=True) / (a.shape[2] * a.shape[3]),
    "windows": lambda _, a, __: a.view(len(a), 8, a.shape[2] // 4, 4, -1).amax(3),
    "all places": lambda _, __, b: b.flatten(2) @ torch.ones(64, 3),
    "coordinates": lambda _, a, __: (
        torch.cat([a, torch.ones(len(a), 1, *a.shape[2:])], 1) * torch.arange(a.shape[3])
    ),
}


def made(joined: Callable[[Tensor, Tensor, Tensor], Tensor]) -> tuple[Supernet, FixedNetwork]:
    torch.manual_seed(0)
    backbone, example = Net(joined), torch.randn(2, 3, *EXAMPLE)
    features = backbone(example)
    heads: dict[str, nn.Module] = {
        task: nn.Conv2d(features.shape[1], 2, 1)
        if features.dim() == 4
        else nn.Conv1d(features.shape[1], 2, 1)
        for task in ("left", "right")
    }
    supernet = sfg_nas.convert(backbone, heads, example)
    allocation = sfg_nas.random_allocation(supernet, seed=1)
    supernet.harden(allocation).eval()
    architecture = sfg_nas.distill(supernet, allocation)
    return supernet, sfg_nas.build_network(architecture, weights=supernet).eval()


@pytest.mark.parametrize("name", FOLLOW)
def test_sizes_follow_the_image(name: str) -> None:
    supernet, network = made(FOLLOW[name])
    for size in [EXAMPLE, *OTHERS]:
        images = torch.randn(3, 3, *size)
        wanted = supernet(images)
        for found in (network(images), network.train()(images)):
            for task, value in wanted.items():
                torch.testing.assert_close(found[task], value, atol=1e-5, rtol=1e-4)
        network.eval()


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_follow_is_refused(name: str) -> None:
    supernet, network = made(REFUSED[name])
    example = torch.randn(3, 3, *EXAMPLE)
    torch.testing.assert_close(network(example)["left"], supernet(example)["left"])
    for size in [(24, 20), (32, 32)]:
        with pytest.raises(
            ArchitectureError, match=f"example of 3 x 16 x 16.*{size[0]} x {size[1]}"
        ):
            network(torch.randn(3, 3, *size))


def test_recorded_features_follow_too() -> None:
    supernet, network = made(FOLLOW["skip"])
    images = torch.randn(2, 3, 24, 20)
    outputs = network.architecture.outputs()
    found = network.features(images, set(outputs.values()))
    for task, node in outputs.items():
        torch.testing.assert_close(found[node], supernet(images)[task], atol=1e-5, rtol=1e-4)


SHAPES = st.lists(st.integers(1, 4), min_size=2, max_size=4)


@settings(max_examples=200, deadline=None)
@given(SHAPES, st.integers(0, 3), st.integers(2, 5))
def test_joined_dimensions_are_as_long_as_their_product(
    built: list[int], start: int, times: int
) -> None:
    start = min(start, len(built) - 2)
    now = [*built]
    now[-1] *= times
    joined = [*built[:start], built[start] * built[start + 1], *built[start + 2 :]]
    settings = {"shape": [-1, *joined]}
    found = Sizes().settings("reshape", settings, tuple(built), tuple(now))["shape"]
    wanted = torch.zeros(now).flatten(start, start + 1).shape
    assert found == [-1, *wanted]


@pytest.mark.parametrize("name", ["skip", "mean by hand"])
def test_the_source_says_what_images_it_needs(name: str) -> None:
    _, network = made((FOLLOW | REFUSED)[name])
    names: dict[str, Callable[[], nn.Module]] = {}
    exec(compile(network_source(network), "network.py", "exec"), names)  # noqa: S102
    module = names["Network"]()
    module(torch.randn(1, 3, *EXAMPLE))
    with pytest.raises(ValueError, match="images of 3 x 16 x 16 are needed"):
        module(torch.randn(1, 3, 24, 20))
