"""What is particular to the U-Net."""

from __future__ import annotations

import torch
from torch import nn

from sfg_nas.backbones.unet import UNet


def test_filters_double_on_the_way_down() -> None:
    network = UNet(in_channels=1, width=0.125)
    downs = [block[-3].out_channels for block in network.down]  # type: ignore[index]
    assert downs == [8, 16, 32, 64, 128]
    assert [m.out_channels for m in network.up] == [64, 32, 16, 8]


def test_poolings_stop_at_two_pixels() -> None:
    small = UNet(in_channels=1, width=0.0625, image_size=5)
    assert [isinstance(pool, nn.Identity) for pool in small.pools] == [False, True, True, True]
    assert small(torch.rand(2, 1, 5, 8)).shape == (2, 4, 5, 8)
