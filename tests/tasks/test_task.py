"""Heads, losses with missing labels, metrics by hand, and the relative gain."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from sfg_nas.errors import ConfigError, DataError
from sfg_nas.tasks import Task

AGE = Task("age", "regression", unit="years", center=30.0, scale=10.0)
GENDER = Task("gender", "classification", 2)
DIGIT = Task("digit", "classification", 4)
NAN = float("nan")


def test_directions_metrics_and_units() -> None:
    assert (AGE.metric, AGE.key, AGE.higher_is_better, AGE.metric_unit) == (
        "mae",
        "age/mae",
        False,
        "years",
    )
    assert (GENDER.metric, GENDER.key, GENDER.higher_is_better, GENDER.metric_unit) == (
        "accuracy",
        "gender/accuracy",
        True,
        None,
    )
    assert (AGE.likelihood, GENDER.likelihood) == ("gaussian", "categorical")


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("kind", {"kind": "ranking"}),
        ("outputs", {"kind": "classification", "outputs": 1}),
        ("outputs", {"kind": "regression", "outputs": 2}),
        ("likelihood", {"kind": "regression", "likelihood": "categorical"}),
        ("weight", {"kind": "regression", "weight": -1.0}),
        ("weight", {"kind": "regression", "weight": NAN}),
        ("scale", {"kind": "regression", "scale": 0.0}),
        ("scale", {"kind": "regression", "center": math.inf}),
        ("name", {"kind": "regression", "name": "a/b"}),
        ("name", {"kind": "regression", "name": 5}),
        ("unit", {"kind": "regression", "unit": 1}),
    ],
)
def test_impossible_tasks_are_refused(field: str, options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f": {field}: "):
        Task(**({"name": "x"} | options))  # type: ignore[arg-type]


@pytest.mark.parametrize("features", [(5,), (5, 7), (5, 3, 4), (5, 2, 3, 4)])
def test_head_fits_vectors_and_maps(features: tuple[int, ...]) -> None:
    head = DIGIT.make_head(torch.Size(features))
    x = torch.randn(3, *features)
    linear = [module for module in head.modules() if isinstance(module, nn.Linear)]
    assert len(linear) == 1
    pooled = x.flatten(2).mean(2) if len(features) > 1 else x
    torch.testing.assert_close(head(x), linear[0](pooled))
    assert head(x).shape == (3, 4)


def test_head_refuses_a_shape_without_channels() -> None:
    with pytest.raises(ConfigError, match="head"):
        DIGIT.make_head(torch.Size(()))


def test_losses_by_hand() -> None:
    output = torch.tensor([[1.0], [-0.5]])
    target = torch.tensor([30.0, 35.0])  # 0 and 0.5 in the network's units
    assert AGE.loss(output, target).item() == pytest.approx((0.5 * 1.0 + 0.5 * 1.0) / 2)
    laplace = Task("age", "regression", center=30.0, scale=10.0, likelihood="laplace")
    target = torch.tensor([30.0, 45.0])
    assert laplace.loss(output, target).item() == pytest.approx((1.0 + 2.0) / 2)
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]])
    expected = (-math.log(3 / 4) - math.log(1 / 2)) / 2
    assert GENDER.loss(logits, torch.tensor([1, 0])).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("task", "target"),
    [(AGE, torch.tensor([NAN, 42.0, NAN, 17.0])), (DIGIT, torch.tensor([-1, 3, -1, 0]))],
)
def test_missing_labels_change_neither_loss_nor_gradient_nor_metrics(
    task: Task, target: torch.Tensor
) -> None:
    output = torch.randn(4, task.outputs, requires_grad=True)
    known = [1, 3]
    loss = task.loss(output, target)
    torch.testing.assert_close(loss, task.loss(output[known], target[known]))
    loss.backward()
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()
    assert (output.grad[[0, 2]] == 0).all()
    assert (output.grad[known] != 0).any()
    assert task.evaluate(output.detach(), target) == task.evaluate(
        output.detach()[known], target[known]
    )


@pytest.mark.parametrize(
    ("task", "target"), [(AGE, torch.full((3,), NAN)), (DIGIT, torch.full((3,), -1))]
)
def test_no_label_at_all_gives_zero_with_a_graph_and_metrics_nan(
    task: Task, target: torch.Tensor
) -> None:
    output = torch.randn(3, task.outputs, requires_grad=True)
    loss = task.loss(output, target)
    assert loss.item() == 0
    loss.backward()
    assert output.grad is not None
    assert (output.grad == 0).all()
    assert math.isnan(task.evaluate(output.detach(), target)[task.metric])


def test_a_diverged_output_is_not_hidden() -> None:
    assert torch.isnan(AGE.loss(torch.tensor([[NAN]]), torch.tensor([30.0])))


def test_regression_metrics_are_in_the_unit() -> None:
    output = torch.tensor([[0.0], [1.0], [-1.0]])  # 30, 40 and 20 years
    found = AGE.evaluate(output, torch.tensor([33.0, 40.0, 14.0]))
    assert found == pytest.approx({"mae": 3.0, "rmse": math.sqrt((9 + 36) / 3)})
    torch.testing.assert_close(AGE.decode(output), torch.tensor([30.0, 40.0, 20.0]))


def test_classification_metrics_count_every_class_that_occurs_and_no_other() -> None:
    predicted = torch.tensor([0, 0, 0, 1, 3])
    output = torch.nn.functional.one_hot(predicted, 4).float()
    target = torch.tensor([0, 0, 0, 0, 2])  # class 2 is never found, 1 and 3 never occur
    found = DIGIT.evaluate(output, target)
    assert found == pytest.approx({"accuracy": 3 / 5, "balanced_accuracy": (3 / 4 + 0) / 2})


def test_measured_center_and_scale() -> None:
    task = Task("age", "regression").measured(torch.tensor([10.0, 20.0, NAN, 30.0]))
    assert task.center == pytest.approx(20.0)
    assert task.scale == pytest.approx(math.sqrt(200 / 3))
    assert Task("x", "regression").measured(torch.tensor([5.0, 5.0])).scale == 1.0
    assert DIGIT.measured(torch.tensor([0, 3])) == DIGIT
    with pytest.raises(DataError, match="at least one label"):
        AGE.measured(torch.tensor([NAN]))
