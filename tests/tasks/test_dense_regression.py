"""What is particular to a number at every pixel."""

from __future__ import annotations

import math

import pytest
import torch

from sfg_nas.errors import ConfigError, DataError
from sfg_nas.tasks import Task

CT = Task("ct", "dense-regression", unit="HU", center=50, scale=100, classes=("bone", "bladder"))


def with_regions() -> tuple[torch.Tensor, torch.Tensor]:
    """Return outputs and targets of two images of 1 x 4 pixels; the errors are 10, 20, 40 and 80 HU."""
    wanted = torch.tensor([[[0.0, 100, 200, 300]], [[math.nan] * 4]])
    region = torch.tensor([[[0.0, 0, -1, math.nan]], [[1.0] * 4]])
    predicted = torch.tensor([[[[10.0, 80, 240, 220]]], [[[7.0] * 4]]])
    return (predicted - 50) / 100, torch.stack([wanted, region], dim=1)


def test_errors_overall_and_by_region() -> None:
    output, target = with_regions()
    found = CT.evaluate(output, target)
    assert found["mae"] == pytest.approx(37.5)
    assert found["rmse"] == pytest.approx(math.sqrt((100 + 400 + 1600 + 6400) / 4), rel=1e-5)
    assert found["mae/bone"] == pytest.approx(15)
    assert math.isnan(found["mae/bladder"])  # labelled only where there is no CT
    halves = [CT.tally(output[i : i + 1], target[i : i + 1]) for i in range(2)]
    assert CT.conclude(halves[0] + halves[1]) == pytest.approx(found, nan_ok=True)


@pytest.mark.parametrize(("likelihood", "loss"), [("laplace", 0.375), ("gaussian", 0.10625)])
def test_l1_and_l2(likelihood: str, loss: float) -> None:
    output, target = with_regions()
    task = Task(
        "ct", "dense-regression", center=50, scale=100, likelihood=likelihood, classes=("a", "b")
    )
    assert task.loss(output, target).item() == pytest.approx(loss)


def test_measured_on_the_numbers_not_the_regions() -> None:
    _, target = with_regions()
    task = Task("ct", "dense-regression", classes=("bone", "bladder")).measured(target)
    assert task.center == pytest.approx(150)


def test_bad_fields_and_labels() -> None:
    for options in ({"outputs": 2}, {"classes": ("a", "a")}, {"class_weights": (1.0,)}):
        with pytest.raises(ConfigError):
            Task("ct", "dense-regression", **options)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="regions from 0 to 1"):
        CT.targets(torch.full((1, 2, 3), 5.0).numpy(), "here")
    with pytest.raises(DataError, match=r"\[N, 2, \*spatial\]"):
        CT.targets(torch.zeros(1, 3, 3).numpy(), "here")
