"""Masks at constant probabilities: what is trained, what is expected."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sfg_nas.baselines import ConstantProbabilities
from sfg_nas.errors import ConfigError
from sfg_nas.sharing import Supernet, convert


def supernet(layers: int = 2) -> Supernet:
    convolutions = [nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)]
    backbone = nn.Sequential(*convolutions[:layers])
    heads = {name: nn.Sequential(nn.Flatten(), nn.Linear(64, 1)) for name in "ab"}
    return convert(backbone, heads, torch.zeros(1, 1, 4, 4))


def test_masks_change_and_probabilities_do_not() -> None:
    network = ConstantProbabilities(supernet(), (0.2, 0.3, 0.5))
    images = torch.randn(2, 1, 4, 4)
    first, second = network(images)["a"], network(images)["a"]
    assert not torch.equal(first, second)
    network(images)["a"].sum().backward()
    assert all(p.grad is None for p in network.supernet.allocation_parameters())
    for p in network.supernet.probabilities().values():
        torch.testing.assert_close(p, torch.tensor([0.2, 0.3, 0.5]).expand_as(p))
    own = {id(p) for p in network.supernet.allocation_parameters()}
    assert not own & {id(p) for p in network.weight_parameters()}


def test_prediction_is_by_the_expectation_of_each_connection() -> None:
    # One layer: the masks that a prediction depends on are independent, so the expectation is exact.
    network = ConstantProbabilities(supernet(1), (0.2, 0.3, 0.5)).eval()
    images = torch.randn(1, 1, 4, 4)
    expected = network(images)["a"]
    drawn = network.supernet.predict(images, mode="sampled", draws=4000)["a"]
    spread = drawn.std(0) / len(drawn) ** 0.5
    assert bool(((drawn.mean(0) - expected).abs() < 5 * spread).all())


def test_probabilities_must_fit_the_groups() -> None:
    with pytest.raises(ConfigError, match="one for each of the 3 groups"):
        ConstantProbabilities(supernet(), (0.5, 0.5))
