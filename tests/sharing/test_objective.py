from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from torch import nn

from sfg_nas.errors import ConfigError
from sfg_nas.sharing import Supernet, convert, objective
from tests.networks import conv


@cache
def supernet() -> Supernet:
    """Return two layers of two and three filters, with all weights 0.5."""
    backbone = nn.Sequential(conv(1, 2), nn.BatchNorm2d(2), nn.ReLU(), conv(2, 3, 1, bias=False))
    heads = {t: nn.Sequential(nn.Flatten(), nn.Linear(12, 1)) for t in ("age", "sex")}
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.fill_(0.5)
    return convert(backbone, heads, torch.randn(2, 1, 2, 2))


LOSSES = {"age": torch.tensor(2.0), "sex": torch.tensor(3.0)}
PENALTY = 0.25 * (2 * 9 + 3 * 2)  # squared weights of both layers: no biases, norms or heads
ENTROPY = 5 * math.log(3)
# connections of a layer read 1 for the image's channel, 5/9 between filters, 2/3 for a head
SHARED = 4 * 2 * 9 + 4 * 3 * 2 + 2 * 12
COST = (4 * 2 * 9 + 4 * 3 * 2 * 5 / 9 + 2 * 12 * 2 / 3) / SHARED


def test_value_by_hand() -> None:
    found = objective(
        supernet(), LOSSES, examples=100, lambda1=0.7, lambda2=0.4, lambda3=0.3, weights={"sex": 2}
    )
    expected = 2 + 2 * 3 + 0.7 * PENALTY / 100 - 0.4 * ENTROPY / 100 + 0.3 * COST
    assert float(found.total.detach()) == pytest.approx(expected, rel=1e-6)
    assert float(found.penalty.detach()) == pytest.approx(PENALTY, rel=1e-6)
    assert float(found.entropy.detach()) == pytest.approx(ENTROPY, rel=1e-6)
    assert float(found.cost.detach()) == pytest.approx(COST, rel=1e-6)
    assert {task: float(loss) for task, loss in found.losses.items()} == {"age": 2.0, "sex": 3.0}


def test_without_lambdas_it_is_the_sum_of_the_losses() -> None:
    assert float(objective(supernet(), LOSSES, examples=10).total.detach()) == 5.0


def test_names_of_no_task_and_no_examples_are_refused() -> None:
    good = {"losses": LOSSES, "examples": 10}
    for changes, message in (
        ({"weights": {"sx": 2.0}}, "objective: weights: tasks of age, sex are needed; found 'sx'"),
        ({"losses": {**LOSSES, "race": torch.tensor(1.0)}}, "losses: .* found 'race'"),
        ({"examples": 0}, "examples: `examples >= 1` must hold; found 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            objective(supernet(), **{**good, **changes})  # type: ignore[arg-type]
    part = objective(supernet(), {"age": torch.tensor(2.0)}, examples=10, weights={"sex": 3.0})
    assert float(part.total.detach()) == 2.0


def test_penalty_is_of_the_weights_before_their_masks() -> None:
    network = supernet()
    before = float(network.weight_penalty().detach())
    network.harden(network.allocation())
    after = float(network.weight_penalty().detach())
    network.relax()
    assert before == after == pytest.approx(PENALTY)


@pytest.mark.parametrize("lambda2", [0.5, -0.5])
def test_sign_of_the_entropy_term(lambda2: float) -> None:
    """A positive weight makes p more even, a negative one makes it decide."""
    network = supernet()
    logits = network.assignments.filter_logits
    kept = logits.detach().clone()
    with torch.no_grad():
        logits.copy_(torch.tensor([0.7, 0.2, 0.1]).log().repeat(5, 1))
    before = float(network.entropy().detach())
    total = objective(network, LOSSES, examples=1, lambda2=lambda2).total
    (gradient,) = torch.autograd.grad(total, [logits])
    with torch.no_grad():
        logits.sub_(0.1 * gradient)
        after = float(network.entropy())
        logits.copy_(kept)
    assert (after - before) * lambda2 > 0


def test_sign_of_the_cost_term() -> None:
    network = supernet()
    logits = network.assignments.filter_logits
    total = objective(network, LOSSES, examples=1, lambda3=1.0).total
    (gradient,) = torch.autograd.grad(total, [logits])
    last = gradient[2:]  # the heads alone read the last layer: a filter of all tasks costs twice
    assert bool((last[:, 2] > 0).all())
    assert bool((last[:, :2] < 0).all())
