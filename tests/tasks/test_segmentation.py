"""What is particular to a class at every pixel."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from sfg_nas.tasks import Task

ORGANS = Task("organ", "segmentation", 4, classes=("none", "bone", "bladder", "rectum"))


def sure(classes: Tensor) -> Tensor:
    """Return outputs that give all probability to these classes `[N, *spatial]`."""
    return 50.0 * functional.one_hot(classes, 4).movedim(-1, 1).float()


def test_dice_of_each_organ_and_their_mean() -> None:
    wanted = torch.tensor([[[0, 1, 1, 1, 2, -1]]])
    predicted = torch.tensor([[[0, 1, 1, 0, 0, 2]]])
    found = ORGANS.evaluate(sure(predicted), wanted)
    assert found["dice/bone"] == pytest.approx(2 * 2 / (2 + 3))
    assert found["dice/bladder"] == 0
    assert math.isnan(found["dice/rectum"])
    assert found["dice"] == pytest.approx(0.4)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["iou"] == pytest.approx((1 / 3 + 2 / 3 + 0) / 3)


def test_tallies_add_up() -> None:
    wanted = torch.randint(-1, 4, (6, 5, 7))
    output = torch.randn(6, 4, 5, 7)
    parts = [ORGANS.tally(output[i : i + 2], wanted[i : i + 2]) for i in (0, 2, 4)]
    assert ORGANS.conclude(parts[0] + parts[1] + parts[2]) == ORGANS.evaluate(output, wanted)


def test_an_image_of_background_only() -> None:
    wanted = torch.zeros(1, 2, 2, dtype=torch.int64)
    assert ORGANS.evaluate(sure(wanted), wanted)["dice"] == 1
    assert ORGANS.evaluate(sure(wanted + 1), wanted)["dice"] == 0
    assert ORGANS.loss(sure(wanted), wanted).item() == pytest.approx(0, abs=1e-6)


def test_the_loss_is_entropy_and_dice() -> None:
    wanted = torch.tensor([[[0, 1, 1, -1]]])
    output = torch.zeros(1, 4, 1, 4)
    soft = 2 * (2 * 0.25) / (3 * 0.25 + 2)
    assert ORGANS.loss(output, wanted).item() == pytest.approx(math.log(4) + 1 - soft)
