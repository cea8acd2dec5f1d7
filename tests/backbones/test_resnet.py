from __future__ import annotations

import torch
from torch import nn

from sfg_nas.backbones.resnet import BasicBlock, resnet10, resnet18


def test_has_the_parameters_of_the_published_network() -> None:
    # torchvision's resnet18 without its classifier (11,176,512), with a 3x3 stem for its 7x7.
    stem = 64 * 3 * (7 * 7 - 3 * 3)
    assert sum(p.numel() for p in resnet18().parameters()) == 11_176_512 - stem


def test_the_block_adds_its_input() -> None:
    block = BasicBlock(4, 4).eval()
    nn.init.zeros_(block.conv2.weight)
    features = torch.rand(2, 4, 5, 5)
    assert torch.equal(block(features), features)


def test_a_block_that_changes_shape_projects_its_shortcut() -> None:
    assert isinstance(BasicBlock(4, 4).shortcut, nn.Identity)
    assert not isinstance(BasicBlock(4, 8).shortcut, nn.Identity)
    assert BasicBlock(4, 4, stride=2)(torch.rand(2, 4, 7, 7)).shape == (2, 4, 4, 4)


def test_strides_stop_at_two_pixels() -> None:
    def strides(size: int | None) -> list[tuple[int, ...]]:
        return [b.conv1.stride for b in resnet10(width=0.0625, image_size=size).blocks]  # type: ignore[union-attr]

    assert strides(None) == [(1, 1), (2, 2), (2, 2), (2, 2)]
    assert strides(16) == [(1, 1), (2, 2), (2, 2), (2, 2)]
    assert strides(5) == [(1, 1), (2, 2), (2, 2), (1, 1)]
