"""Layers for images of two or three dimensions."""

from __future__ import annotations

import pytest
import torch

from sfg_nas.backbones.blocks import check_dimensions, convolution
from sfg_nas.errors import ConfigError


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(("size", "dilation"), [(1, 1), (3, 1), (3, 2), (3, 4)])
def test_convolutions_keep_the_resolution(dimensions: int, size: int, dilation: int) -> None:
    layer = convolution(dimensions, 2, 3, size=size, dilation=dilation)
    shape = (5, 6, 7)[:dimensions]
    assert layer(torch.rand(1, 2, *shape)).shape == (1, 3, *shape)


def test_other_dimensions_are_refused() -> None:
    assert check_dimensions(3) == 3
    with pytest.raises(ConfigError, match="found 1"):
        check_dimensions(1)
