"""What only a regression refuses."""

from __future__ import annotations

import math

import pytest
import torch

from sfg_nas.errors import ConfigError
from sfg_nas.tasks import Task


@pytest.mark.parametrize(
    "options", [{"classes": ("a",)}, {"class_weights": (1.0,)}, {"class_weights": "balanced"}]
)
def test_classes_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="class"):
        Task("size", "regression", **options)  # type: ignore[arg-type]


def test_rmse_is_the_root_of_the_mean_square_over_what_has_a_label() -> None:
    task = Task("size", "regression", center=1.0, scale=2.0, likelihood="rmse")
    output = torch.tensor([[1.0], [0.0], [5.0]], requires_grad=True)
    loss = task.loss(output, torch.tensor([1.0, 9.0, float("nan")]))
    assert loss.item() == pytest.approx(math.sqrt((1.0**2 + 4.0**2) / 2))
    loss.backward()
    assert output.grad is not None
    # d/do sqrt(mean d²) = d / (n · root)
    assert output.grad.flatten().tolist() == pytest.approx(
        [1 / (2 * math.sqrt(8.5)), -4 / (2 * math.sqrt(8.5)), 0.0]
    )


def test_rmse_of_a_perfect_prediction_has_no_slope() -> None:
    task = Task("size", "regression", likelihood="rmse")
    output = torch.tensor([[1.0], [0.0]], requires_grad=True)
    loss = task.loss(output, torch.tensor([1.0, 0.0]))
    loss.backward()
    assert loss.item() == 0
    assert output.grad is not None
    assert output.grad.flatten().tolist() == [0.0, 0.0]
