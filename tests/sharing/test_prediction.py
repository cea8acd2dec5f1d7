from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from sfg_nas.sharing import Predictions, convert

# two passes, one image, two classes: log-odds 0 and log 3, so probabilities 1/2, 1/2 and 3/4, 1/4
LOGITS = torch.tensor([[[0.0, 0.0]], [[math.log(3.0), 0.0]]])


def test_a_number_by_hand() -> None:
    found = Predictions({"age": torch.tensor([[[1.0]], [[3.0]], [[8.0]]])})
    assert found.mean("age").tolist() == [[4.0]]
    assert float(found.spread("age")) == pytest.approx(math.sqrt((9 + 1 + 16) / 3))


def test_a_class_by_hand() -> None:
    found = Predictions({"sex": LOGITS})
    assert torch.allclose(found.distribution("sex"), torch.tensor([[0.625, 0.375]]))
    assert torch.allclose(found.distribution_spread("sex"), torch.tensor([[0.125, 0.125]]))
    # averaging logits instead would give sqrt(3) : 1
    assert not torch.allclose(found.mean("sex").softmax(1), found.distribution("sex"), atol=1e-3)
    votes = Predictions({"sex": torch.cat([LOGITS[1:], LOGITS[1:], LOGITS[1:].flip(2)])})
    assert torch.allclose(votes.votes("sex"), torch.tensor([[2 / 3, 1 / 3]]))


def test_dense_outputs_keep_their_place() -> None:
    found = Predictions({"organ": torch.randn(3, 2, 4, 5, 6)})
    distribution = found.distribution("organ")
    assert distribution.shape == (2, 4, 5, 6)
    assert torch.allclose(distribution.sum(1), torch.ones(2, 5, 6))
    assert torch.allclose(found.votes("organ").sum(1), torch.ones(2, 5, 6))


def test_draws_of_masks_by_hand() -> None:
    """One filter of weight 1 that task a may read in two of three groups: Monte-Carlo counts them."""
    conv = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.ones_(conv.weight)
    heads = {}
    for task in "ab":
        linear = nn.Linear(1, 1, bias=False)
        nn.init.ones_(linear.weight)
        heads[task] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    supernet = convert(conv, heads, torch.zeros(1, 1, 2, 2))
    found = supernet.predict(torch.full((1, 1, 2, 2), 3.0), mode="sampled", draws=3000)
    assert set(found["a"].unique().tolist()) == {0.0, 3.0}
    assert float(found.mean("a")) == pytest.approx(2.0, abs=0.12)
    assert float(found.spread("a")) == pytest.approx(3 * math.sqrt(2 / 9), abs=0.06)
    either = found["a"] + found["b"]
    assert float(either.min()) == 3.0  # no draw takes the filter from both
    supernet.harden(supernet.allocation())
    again = supernet.predict(torch.full((1, 1, 2, 2), 3.0), mode="hard")
    assert len(again["a"]) == 1
    assert float(again.spread("a")) == 0.0
