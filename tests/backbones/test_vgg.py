from __future__ import annotations

import pytest
import torch
from torch import nn

from sfg_nas.backbones.vgg import vgg11, vgg13, vgg16


@pytest.mark.parametrize(
    ("build", "parameters"), [(vgg11, 9_223_232), (vgg13, 9_407_936), (vgg16, 14_718_912)]
)
def test_has_the_parameters_of_the_published_convolutions(build: object, parameters: int) -> None:
    # torchvision's vgg*_bn features without their convolutions' biases, which batch norm cancels.
    assert callable(build)
    assert sum(p.numel() for p in build().parameters()) == parameters


def test_layers_of_a_cut_network() -> None:
    names = [type(m).__name__ for m in vgg11(width=0.0625, depth=3, image_size=32).features]
    block = ["Conv2d", "BatchNorm2d", "ReLU"]
    assert names == [*block, "MaxPool2d", *block, "MaxPool2d", *block]


@pytest.mark.parametrize(("size", "pools"), [(None, 5), (64, 5), (48, 4), (32, 4), (16, 3), (3, 0)])
def test_poolings_stop_at_two_pixels(size: int | None, pools: int) -> None:
    network = vgg11(width=0.0625, image_size=size)
    assert sum(isinstance(m, nn.MaxPool2d) for m in network.features) == pools


def test_features_are_not_negative() -> None:
    assert (vgg11(width=0.0625, image_size=16)(torch.randn(2, 3, 16, 16)) >= 0).all()
