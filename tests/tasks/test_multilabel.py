"""Multi-label losses and metrics by hand, with labels that are known in part."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score
from torch import Tensor

from sfg_nas.errors import ConfigError, DataError
from sfg_nas.tasks import Task

TASK = Task("wears", "multi-label", 2, classes=("hat", "ring"))
LOG3 = math.log(3.0)


def test_loss_is_the_mean_over_known_labels() -> None:
    output = torch.tensor([[LOG3, 0.0], [-LOG3, 9.0]], requires_grad=True)
    target = torch.tensor([[1, 0], [1, -1]])
    loss = TASK.loss(output, target)
    assert loss.item() == pytest.approx((-math.log(3 / 4) - math.log(1 / 2) - math.log(1 / 4)) / 3)
    loss.backward()
    assert isinstance(output.grad, Tensor)
    assert output.grad[1, 1] == 0


def test_metrics_by_hand() -> None:
    output = torch.tensor([[30.0, -1.0], [20.0, -2.0], [-1.0, -3.0], [-2.0, -4.0]])
    target = torch.tensor([[1, 0], [0, 0], [1, 0], [-1, -1]])
    found = TASK.evaluate(output, target)  # nobody wears a ring: it has no average precision
    assert found == pytest.approx(
        {"average_precision": (1 + 2 / 3) / 2, "f1": 0.5, "accuracy": 4 / 6}
    )
    assert math.isnan(TASK.evaluate(output, torch.zeros(4, 2))["average_precision"])


def test_average_precision_does_not_saturate() -> None:
    output = torch.tensor(
        [[90.0, 0.0], [100.0, 0.0]]
    )  # both probabilities are 1 in single precision
    target = torch.tensor([[0, -1], [1, -1]])
    assert TASK.evaluate(output, target)["average_precision"] == 1.0


def test_average_precision_is_that_of_scikit_learn_and_exact() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 7, 60):
        scores = rng.integers(-2, 3, (count, 2))  # many are equal
        target = rng.integers(0, 2, (count, 2))
        target[0] = 1
        found = TASK.evaluate(torch.tensor(scores).float(), torch.tensor(target))
        pairs = [(target[:, k], scores[:, k]) for k in range(2)]
        wanted = np.mean([average_precision_score(*pair) for pair in pairs])
        assert found["average_precision"] == pytest.approx(wanted, rel=1e-12)
        wanted = np.mean([f1_score(truth, own > 0) for truth, own in pairs])
        assert found["f1"] == pytest.approx(wanted, rel=1e-12)


def test_lists() -> None:
    assert TASK.label("hat", "here") == (1.0, 0.0)
    assert TASK.label("None", "here") == (0.0, 0.0)
    assert all(math.isnan(value) for value in TASK.label("", "here"))  # type: ignore[union-attr]
    with pytest.raises(DataError, match="a list of hat, ring, separated by `;`, or 'none'"):
        TASK.label("hat;glove", "here")
    found = TASK.describe(torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))
    assert found["wears"] == ["hat;ring", "none"]


@pytest.mark.parametrize("names", [("a;b", "c"), ("none", "c"), ("a",)])
def test_impossible_names(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="classes"):
        Task("wears", "multi-label", 2, classes=names)


def test_no_label_and_class_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match="outputs"):
        Task("wears", "multi-label", 0)
    with pytest.raises(ConfigError, match="class_weights"):
        Task("wears", "multi-label", 2, class_weights=(1.0, 2.0))
