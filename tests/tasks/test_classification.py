"""Class weights by hand, balanced weights, names."""

from __future__ import annotations

import math

import pytest
import torch

from sfg_nas.compare.statistics import interval
from sfg_nas.errors import ConfigError, DataError
from sfg_nas.tasks import TASK_KINDS, Task


def test_class_weights_by_hand() -> None:
    task = Task("kind", "classification", 2, class_weights=(1.0, 3.0))
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0], [5.0, 5.0]])
    wanted = (3.0 * -math.log(3 / 4) + 1.0 * -math.log(1 / 2)) / 4
    assert task.loss(logits, torch.tensor([1, 0, -1])).item() == pytest.approx(wanted)


def test_balanced_weights_are_measured_on_training_labels() -> None:
    task = Task("kind", "classification", 3, class_weights="balanced")
    assert task.unmeasured
    with pytest.raises(ConfigError, match="class_weights: balanced weights must be measured"):
        task.loss(torch.zeros(1, 3), torch.tensor([0]))
    found = task.measured(torch.tensor([0, 0, 0, 2, -1]))
    assert found.class_weights == pytest.approx((4 / 9, 1.0, 4 / 3))
    with pytest.raises(DataError, match="at least one label"):
        task.measured(torch.tensor([-1]))


def test_as_many_images_more_are_the_same_difference_every_time() -> None:
    """Else three seeds that agree would have a spread of rounding, and an interval that settles what they say."""
    task, target = Task("kind", "classification", 2), torch.arange(30) % 2

    def accuracy(right: int) -> float:
        wrong = torch.arange(30) >= right
        output = torch.nn.functional.one_hot(target ^ wrong, 2).float()
        return task.evaluate(output, target)["accuracy"]

    assert accuracy(19) == 19 / 30
    differences = [accuracy(right + 1) - accuracy(right) for right in (18, 19, 22)]
    assert math.isnan(interval(differences).low)


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 0.0), (1.0, math.nan), "even"])
def test_impossible_weights_are_refused(weights: tuple[float, ...] | str) -> None:
    with pytest.raises(ConfigError, match="class_weights"):
        Task("kind", "classification", 2, class_weights=weights)


def test_names_are_one_for_each_class() -> None:
    with pytest.raises(ConfigError, match="classes: one name for each of the 3"):
        Task("kind", "classification", 3, classes=("a", "b"))
    with pytest.raises(ConfigError, match="classes"):
        Task("kind", "classification", 2, classes=("a", "a"))
    named = Task("kind", "classification", 2, classes=("no", "yes"))
    found = named.describe(torch.tensor([[0.0, 0.0], [0.0, 9.0]]))
    assert found["kind"] == ["no", "yes"]
    assert found["kind/yes"][0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "cells",
    [
        ["900000000000207008", "900000000000207009"],
        ["0E1", "0E2"],
        ["10", "1_0"],
    ],
)
def test_codes_that_only_look_like_one_number_stay_two_classes(cells: list[str]) -> None:
    """A float holds 15 digits, and Python takes more for a number than programs write."""
    fields = TASK_KINDS["classification"].fields_of(cells * 2, ())
    assert fields == {"outputs": 2, "classes": tuple(sorted(cells))}
    task = Task("code", "classification", outputs=2, classes=tuple(cells))
    assert [task.label(cell, "") for cell in cells] == [0, 1]


def test_numbers_are_one_class_however_they_are_written() -> None:
    cells = ["1e+02", "100.0", "100", "-3", "-3.", "007", "7"] * 2
    fields = TASK_KINDS["classification"].fields_of(cells, ())
    assert fields["outputs"] == 3
    task = Task("number", "classification", outputs=3, classes=("-3", "7", "100"))
    assert [task.label(cell, "") for cell in cells[:7]] == [2, 2, 2, 0, 0, 1, 1]
    unnamed = Task("number", "classification", outputs=3)
    assert isinstance(unnamed.label("2.0", ""), float)
