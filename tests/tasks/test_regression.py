"""What only a regression refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sfg_nas.errors import ConfigError, DataError
from sfg_nas.tasks import Task, WrongLabelError


@pytest.mark.parametrize("cell", ["1_5", "1e400", "red", "1,5"])
def test_cells_that_hold_no_number_are_refused(cell: str) -> None:
    task = Task("size", "regression")
    with pytest.raises(WrongLabelError, match="a finite number, or nothing, is needed"):
        task.rules.parse(task, cell)


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


def test_numbers_that_single_precision_cannot_tell_apart_are_refused() -> None:
    task = Task("when", "regression", unit="s")
    for start, apart in ((1.7e9, 1e5), (2000.0, 1.0), (0.0, 1e-20), (5.0, 0.0)):
        labels = task.targets(start + apart * np.arange(9.0), "table")
        scale = float(np.std(apart * np.arange(9.0))) or 1.0
        assert task.measured(labels).scale == pytest.approx(scale, rel=1e-2)
    rounded = task.targets(1.7e9 + 60 * np.arange(9.0), "table")
    with pytest.raises(
        DataError, match=r"task 'when': .*subtract a constant.*rounded by up to 101"
    ):
        task.measured(rounded)
    with pytest.raises(DataError, match="finite numbers"):
        task.targets(np.array([1.0, 1e39]), "table")


@pytest.mark.parametrize("unit", [1e-30, 1e-9, 1.0, 1e9, 1e30])
def test_errors_are_those_of_any_unit(unit: float) -> None:
    task = Task("size", "regression", center=5 * unit, scale=2 * unit)
    target = torch.tensor([6.0, float("nan"), 1.0]).double().mul(unit).float()
    scores = task.evaluate(torch.tensor([[1.0], [0.0], [-1.0]]), target)
    assert scores["mae"] / unit == pytest.approx((1 + 2) / 2)
    assert scores["rmse"] / unit == pytest.approx(math.sqrt((1 + 4) / 2))
