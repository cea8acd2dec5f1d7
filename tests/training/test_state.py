from __future__ import annotations

import pytest
import torch
from torch import nn

from sfg_nas.training import make_fabric


@pytest.mark.parametrize(("precision", "dtype"), [("32", torch.float32), ("64", torch.float64)])
def test_a_fabric_has_the_device_and_precision(precision: str, dtype: torch.dtype) -> None:
    fabric = make_fabric("cpu", precision=precision)
    assert fabric.device == torch.device("cpu")
    assert fabric.setup(nn.Linear(2, 2)).weight.dtype == dtype
