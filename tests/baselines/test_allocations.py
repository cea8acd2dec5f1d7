"""Controls: what they keep and what they change."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sfg_nas.allocation import Allocation
from sfg_nas.backbones import build_backbone
from sfg_nas.baselines.allocations import blocks, permuted, resized, shuffled, tree_split
from sfg_nas.errors import ArchitectureError
from sfg_nas.fixed import distill
from sfg_nas.sharing import Supernet, convert, random_allocation


def supernet(kind: str = "vgg11", width: float = 0.125, depth: int = 4) -> Supernet:
    backbone = build_backbone(kind, in_channels=1, width=width, depth=depth, image_size=16)
    features = backbone(torch.zeros(2, 1, 16, 16)).shape[1]
    heads = {
        name: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, 2))
        for name in "ab"
    }
    return convert(backbone, heads, torch.zeros(1, 1, 16, 16))


def shares(allocation: Allocation) -> list[tuple[float, ...]]:
    return [tuple(n / sum(row) for n in row) for row in allocation.counts().values()]


def test_a_tree_shares_in_front_and_separates_behind() -> None:
    net = supernet()
    assert shares(tree_split(net, 2)) == [(0, 0, 1), (0, 0, 1), (0.5, 0.5, 0), (0.5, 0.5, 0)]
    assert shares(tree_split(net, 0)) == [(0.5, 0.5, 0)] * 4
    assert shares(tree_split(net, 4)) == [(0, 0, 1)] * 4


@pytest.mark.parametrize("kind", ["vgg11", "resnet10"])
def test_a_random_allocation_keeps_the_counts_of_every_layer(kind: str) -> None:
    net = supernet(kind, depth=3)
    allocation = random_allocation(net, seed=1)
    drawn = [permuted(net, allocation, seed) for seed in range(3)]
    assert all(other.counts() == allocation.counts() for other in drawn)
    assert len({tuple(other.layers.items()) for other in drawn}) == 3
    assert permuted(net, allocation, 1) == drawn[1]
    if kind == "vgg11":  # the same network up to the order of its filters
        macs = distill(net, allocation).macs
        assert {distill(net, other).macs for other in drawn} == {macs}


def test_a_shuffle_gives_the_shares_to_other_layers() -> None:
    net = supernet()
    owners = tree_split(net, 4).layers  # all shared; then some of each in two layers
    layers = dict(owners)
    for place, name in enumerate(list(layers)[2:]):
        row = list(layers[name])
        row[: 4 * (place + 1)] = [0, 1, 0, 1] * (place + 1)
        layers[name] = tuple(row)
    allocation = Allocation(net.groups, layers)
    seen = set()
    for seed in range(6):
        other = shuffled(net, allocation, seed)
        for new, old in zip(sorted(shares(other)), sorted(shares(allocation)), strict=True):
            assert new == pytest.approx(old, abs=1 / 8)  # rounded to whole filters
        distill(net, other).checked()
        seen.add(tuple(shares(other)))
    assert len(seen) > 1
    # Of a tree only one order leaves every task a path: it is the tree.
    assert shuffled(net, tree_split(net, 2), 0).counts() == tree_split(net, 2).counts()


def test_an_allocation_is_carried_to_another_width_with_its_shares() -> None:
    small, large = supernet(width=0.125), supernet(width=0.25)
    allocation = random_allocation(small, seed=2)
    bigger = resized(large, allocation, small)
    for old, new in zip(shares(allocation), shares(bigger), strict=True):
        assert new == pytest.approx(old, abs=1 / 16)
    assert resized(small, bigger, large).counts() == allocation.counts()
    with pytest.raises(ArchitectureError, match="the same layers"):
        resized(supernet(depth=3), allocation, small)


@pytest.mark.parametrize("kind", ["vgg11", "resnet10"])
def test_blocks_hold_every_row_once(kind: str) -> None:
    net = supernet(kind, depth=3)
    rows = torch.cat(blocks(net)).tolist()
    assert sorted(rows) == list(range(net.wiring.variables))
