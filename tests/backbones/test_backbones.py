"""The contract of every entry of `BACKBONES`."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from sfg_nas.backbones import BACKBONES, build_backbone
from sfg_nas.errors import ConfigError

# Every backbone and how many layers its depth counts; the meta-test keeps the list complete.
DEEPEST = {
    "vgg11": 8,
    "vgg13": 10,
    "vgg16": 13,
    "resnet10": 4,
    "resnet18": 8,
    "highresnet": 9,
    "unet": 5,
}
# Those that keep the resolution, with the filters of their map at width 1.
FULL_SIZE = {"highresnet": 64, "unet": 64}
# Wide enough for every layer to have several filters.
NARROW = {"highresnet": 0.25}
EVERY = pytest.mark.parametrize("kind", sorted(DEEPEST))


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [m for m in module.modules() if isinstance(m, nn.Conv2d)]


def test_every_entry_is_tested() -> None:
    assert set(BACKBONES) == set(DEEPEST)


@EVERY
def test_takes_the_common_arguments_by_name(kind: str) -> None:
    parameters = inspect.signature(BACKBONES[kind]).parameters.values()
    names = ["in_channels", "width", "depth", "image_size"]
    assert [p.name for p in parameters] in (names, [*names, "dimensions"])
    assert {p.kind for p in parameters} == {inspect.Parameter.KEYWORD_ONLY}


@EVERY
@pytest.mark.parametrize("size", [16, 24, 32, 48])
def test_gives_a_feature_map_on_small_images(kind: str, size: int) -> None:
    network = build_backbone(kind, width=0.0625, image_size=size)
    features = network(torch.rand(2, 3, size, size))
    assert features.ndim == 4
    assert features.shape[:2] == (2, FULL_SIZE.get(kind, 512) // 16)
    assert min(features.shape[2:]) >= 2
    assert torch.isfinite(features).all()


@EVERY
def test_shrinks_as_published_without_an_image_size(kind: str) -> None:
    features = build_backbone(kind, width=0.0625)(torch.rand(2, 3, 64, 64))
    side = 64 if kind in FULL_SIZE else 2 if kind.startswith("vgg") else 8
    assert features.shape[2:] == (side, side)


@EVERY
def test_every_depth_builds_and_keeps_the_front(kind: str) -> None:
    whole = build_backbone(kind, width=0.0625, image_size=16).state_dict()
    counts = []
    for depth in range(1, DEEPEST[kind] + 1):
        network = build_backbone(kind, width=0.0625, depth=depth, image_size=16)
        assert network(torch.rand(1, 3, 16, 16).expand(2, -1, -1, -1)).ndim == 4
        state = network.state_dict()
        counts.append(len(convolutions(network)))
        # The same front: weights have the names and shapes of the whole network's.
        shapes = {name: tensor.shape for name, tensor in state.items()}
        if kind.startswith("resnet"):
            assert shapes.items() <= {name: t.shape for name, t in whole.items()}.items()
    assert counts == sorted(set(counts))
    full = build_backbone(kind, width=0.0625, depth=None, image_size=16)
    assert len(convolutions(full)) == counts[-1]


@EVERY
def test_width_scales_filters(kind: str) -> None:
    wide = [c.out_channels for c in convolutions(build_backbone(kind, width=0.5))]
    narrow = [c.out_channels for c in convolutions(build_backbone(kind, width=0.25))]
    assert wide == [2 * filters for filters in narrow]
    least = convolutions(build_backbone(kind, width=1e-4, depth=1))
    assert all(c.out_channels == 1 for c in least)


@EVERY
def test_takes_grey_images(kind: str) -> None:
    network = build_backbone(kind, in_channels=1, width=0.0625, image_size=16)
    assert network(torch.rand(2, 1, 16, 16)).shape[0] == 2


@EVERY
def test_weights_follow_the_seed(kind: str) -> None:
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(build_backbone(kind, width=0.0625).state_dict())
    first, same, other = (torch.cat([t.double().flatten() for t in s.values()]) for s in states)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@EVERY
def test_every_parameter_gets_a_gradient(kind: str) -> None:
    network = build_backbone(kind, width=NARROW.get(kind, 0.0625), image_size=16)
    network(torch.rand(4, 3, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@EVERY
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 0}, r"backbone.depth: 1 <= depth <= \d+ must hold; found 0"),
        ({"depth": 99}, r"backbone.depth: 1 <= depth <= \d+ must hold; found 99"),
        ({"width": 0.0}, r"backbone.width: .* found 0.0"),
        ({"width": -1.0}, r"backbone.width"),
        ({"width": float("nan")}, r"backbone.width"),
        ({"width": float("inf")}, r"backbone.width"),
        ({"in_channels": 0}, r"backbone.in_channels"),
        ({"image_size": 0}, r"backbone.image_size"),
    ],
)
def test_bad_numbers_are_refused(kind: str, arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BACKBONES[kind](**arguments)


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="found `vgg12`; did you mean `vgg1"):
        build_backbone("vgg12")
    with pytest.raises(ConfigError, match=r"must be one of vgg11, .*; found `alex`; name one"):
        build_backbone("alex")


@pytest.mark.parametrize("kind", sorted(FULL_SIZE))
@pytest.mark.parametrize("size", [(8, 8, 8), (7, 9, 5), (16, 6, 11)])
def test_volumes_keep_their_size(kind: str, size: tuple[int, ...]) -> None:
    network = build_backbone(
        kind, in_channels=1, width=0.125, image_size=min(size), dimensions=len(size)
    )
    features = network(torch.rand(2, 1, *size))
    assert features.shape == (2, 8, *size)


def test_flat_backbones_refuse_volumes() -> None:
    with pytest.raises(ConfigError, match=r"3 dimensions need one of highresnet, unet; found `vgg"):
        build_backbone("vgg11", dimensions=3)
    with pytest.raises(ConfigError, match="2 or 3 dimensions"):
        build_backbone("unet", dimensions=4)
