"""What is particular to HighResNet."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sfg_nas.backbones.highresnet import HighResNet


@pytest.mark.parametrize("dimensions", [2, 3])
def test_is_the_published_network(dimensions: int) -> None:
    network = HighResNet(in_channels=1, dimensions=dimensions)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Conv3d)]
    stages = [(c.out_channels, c.dilation[0]) for c in layers[1:]]
    assert stages == [(16, 1)] * 6 + [(32, 2)] * 6 + [(64, 4)] * 6
    assert layers[0].out_channels == 16
    assert {c.kernel_size for c in layers} == {(3,) * dimensions}


def test_sees_87_pixels() -> None:
    """1 for each side of the stem, then 2 x 3 x (1 + 2 + 4): a change 43 pixels away still counts."""
    torch.manual_seed(0)
    network = HighResNet(in_channels=1, width=0.25).eval()
    image = torch.zeros(1, 1, 1, 99)
    with torch.no_grad():
        before = network(image)
        image[..., 49] = 1e4
        moved = (network(image) != before).any(1).flatten().nonzero().flatten()
    assert max(49 - int(moved.min()), int(moved.max()) - 49) == 43
