"""Coins: the mean of draws and the divergence by hand."""

from __future__ import annotations

import math

import pytest
import torch

from sfg_nas.tasks.binary import divergence, masked_cross_entropy, mean_logits

LOG3 = math.log(3.0)


def test_mean_logits() -> None:
    found = mean_logits(torch.tensor([[LOG3, 80.0], [-LOG3, 80.0]])).tolist()
    assert found == pytest.approx([0.0, 80.0])


def test_divergence_by_hand() -> None:
    wanted, output = torch.tensor([2 * LOG3]), torch.tensor([0.0])
    by_hand = 4 * (3 / 4 * math.log(3 / 2) + 1 / 4 * math.log(1 / 2))
    assert divergence(output, wanted, 2.0).item() == pytest.approx(by_hand)


def test_unknown_coins_cost_nothing() -> None:
    found = masked_cross_entropy(
        torch.tensor([0.0, 5.0]), torch.tensor([True, False]), torch.tensor([True, False])
    )
    assert found.tolist() == pytest.approx([math.log(2.0), 0.0])
