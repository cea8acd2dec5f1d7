"""Ordinal likelihoods by hand: consistent probabilities, the median, mixtures."""

from __future__ import annotations

import math

import pytest
import torch

from sfg_nas.errors import ConfigError
from sfg_nas.tasks import Task

TASK = Task("grade", "ordinal", 3)
LOG3 = math.log(3.0)
OUTPUT = torch.tensor([[LOG3, -LOG3]])  # above 0: 3/4; above 1, given that: 1/4
SHARES = (1 / 4, 3 / 4 * 3 / 4, 3 / 4 * 1 / 4)


def shares(output: torch.Tensor) -> list[float]:
    """Return the probabilities of the levels, from the description of one example."""
    found = TASK.describe(output)
    return [found[f"grade/{level}"][0] for level in range(3)]  # type: ignore[misc]


def test_the_loss_is_the_negative_log_likelihood() -> None:
    assert shares(OUTPUT) == pytest.approx(SHARES)
    for level, share in enumerate(SHARES):
        found = TASK.loss(OUTPUT, torch.tensor([level])).item()
        assert found == pytest.approx(-math.log(share))


def test_the_prediction_is_the_median() -> None:
    assert TASK.decode(OUTPUT).item() == 1
    assert TASK.decode(torch.tensor([[-1.0, 9.0]])).item() == 0
    assert TASK.decode(torch.tensor([[3.0, 3.0]])).item() == 2


def test_the_mean_is_the_mixture() -> None:
    other = torch.tensor([[-1.0, 2.0]])
    mixed = TASK.mean_prediction(torch.stack([OUTPUT, other]))
    wanted = [(a + b) / 2 for a, b in zip(SHARES, shares(other), strict=True)]
    assert shares(mixed) == pytest.approx(wanted)


def test_metrics_by_hand() -> None:
    output = torch.tensor([[-9.0, 0.0], [9.0, -9.0], [9.0, 9.0], [9.0, 9.0]])  # levels 0, 1, 2, 2
    found = TASK.evaluate(output, torch.tensor([0, 1, 0, -1]))
    # Observed squared distance 4/3; expected from the margins 0: 2/3, 1: 1/3 and 0, 1, 2: 1/3 each.
    expected = (2 / 3 * (0 + 1 + 4) + 1 / 3 * (1 + 0 + 1)) / 3
    assert found == pytest.approx(
        {"mae": 2 / 3, "accuracy": 2 / 3, "kappa": 1 - (4 / 3) / expected}
    )
    assert TASK.quality(2 / 3) == pytest.approx(2 / 3)
    assert TASK.metric_unit == "levels"


def test_one_level_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 2 levels"):
        Task("grade", "ordinal", 1)
