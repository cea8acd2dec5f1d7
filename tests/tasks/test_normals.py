"""What is particular to directions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sfg_nas.errors import ConfigError, DataError
from sfg_nas.tasks import Task

TASK = Task("faces", "normals", 3)


def directions(*degrees: float) -> torch.Tensor:
    """Return vectors `[1, 3, 1, n]` of different lengths, turned by these angles from the x axis."""
    angles = [math.radians(angle) for angle in degrees]
    parts = [[math.cos(a), math.sin(a), 0.0] for a in angles]
    lengths = torch.arange(1.0, len(degrees) + 1)
    return (torch.tensor(parts) * lengths[:, None]).T[None, :, None]


def test_angles_by_hand() -> None:
    output = directions(0, 5, -20, 25, 180, 90)
    target = directions(0, 0, 0, 0, 0, 0)
    target[..., 5] = math.nan
    found = TASK.evaluate(output, target)
    assert found["angle"] == pytest.approx((0 + 5 + 20 + 25 + 180) / 5, abs=1e-4)
    assert found["median"] == pytest.approx(20, abs=0.05)
    assert (found["within11"], found["within22"], found["within30"]) == (0.4, 0.6, 0.8)
    cosines = [math.cos(math.radians(a)) for a in (0, 5, 20, 25, 180)]
    assert TASK.loss(output, target).item() == pytest.approx(1 - sum(cosines) / 5, abs=1e-6)
    halves = [TASK.tally(output[..., i : i + 3], target[..., i : i + 3]) for i in (0, 3)]
    assert TASK.conclude(halves[0] + halves[1]) == pytest.approx(found)


def test_labels_have_length_1_or_are_missing() -> None:
    labels = np.zeros((1, 3, 1, 3))
    labels[0, :, 0, 0] = 0, 3, 4
    labels[0, :, 0, 1] = math.nan, 1, 0
    found = TASK.targets(labels, "here")
    assert found[0, :, 0, 0].tolist() == pytest.approx([0, 0.6, 0.8])
    assert torch.isnan(found[0, :, 0, 1:]).all()


def test_the_unit_is_degrees_whatever_the_task() -> None:
    assert (TASK.metric_unit, TASK.key) == ("degrees", "faces/angle")
    with pytest.raises(ConfigError, match="3 outputs"):
        Task("faces", "normals")
    with pytest.raises(ConfigError, match="no classes"):
        Task("faces", "normals", 3, classes=("a", "b", "c"))
    with pytest.raises(DataError, match="finite"):
        TASK.targets(np.full((1, 3, 2, 2), np.inf), "here")
