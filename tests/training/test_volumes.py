"""Sliding windows: every voxel is predicted, whatever the sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sfg_nas.tasks import Task
from sfg_nas.training.volumes import predict_volume

TASKS = (
    Task("ct", "dense-regression", center=10, scale=2),
    Task("organs", "segmentation", 2),
)


class Pointwise(nn.Module):
    """A network whose outputs are known at every voxel, and that insists on its size."""

    def __init__(self, patch: tuple[int, ...]) -> None:
        super().__init__()
        self.patch, self.largest = patch, 0

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        assert images.shape[1:] == (1, *self.patch)
        self.largest = max(self.largest, len(images))
        return {"ct": 3 * images, "organs": torch.cat([0 * images, images], 1)}


@pytest.mark.parametrize("patch", [(4, 6), (16, 16), (4, 6, 3), (16, 16, 16), (5, 9, 1)])
@pytest.mark.parametrize("shape", [(9, 10, 11), (3, 20, 1)])
def test_every_voxel_is_predicted(patch: tuple[int, ...], shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    network = Pointwise(patch)
    found = predict_volume(network, values, patch, TASKS)
    assert np.allclose(found["ct"], 10 + 6 * values, atol=1e-4)
    assert found["organs"].dtype == np.uint8
    sure = np.abs(values) > 1e-4
    assert np.array_equal(found["organs"][sure], (values > 0)[sure])
    assert network.largest <= (16 if len(patch) == 2 else 1)
