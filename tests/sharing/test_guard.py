"""What overflows never reaches those who may not read it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sfg_nas import build_network, convert, distill, random_allocation
from sfg_nas.sharing import Supernet
from tests.conversions import pair
from tests.properties import reading_rule_holds, run, same_outputs

NETWORKS = (
    "vgg",
    "transposed",
    "convnext",
    "flatten",
    "norm-head",
    "weight-standard",
    "dense-block",
)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_filters_of_other_tasks_may_be_anything(name: str, value: float) -> None:
    both = pair(name)
    allocation = random_allocation(both.connections, seed=3)
    for supernet in (both.connections, both.streams):
        reading_rule_holds(supernet, allocation, both.x, fill=value)


def hidden(relaxation: str) -> tuple[Supernet, torch.Tensor]:
    """Return a network whose first layer has a filter that nobody reads and that overflows."""
    x = torch.rand(2, 3, 6, 6) + 1
    layers = (nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1), nn.Flatten())
    heads = {task: nn.Linear(108, 2) for task in ("a", "b")}
    supernet = convert(nn.Sequential(*layers), heads, x, relaxation=relaxation)
    # the second layer has no filter for `a` alone, and the shared ones may not read `a`'s
    supernet.harden(supernet.wiring.allocation(torch.tensor([0, 1, 2, 1, 2, 2])))
    with torch.no_grad():
        for name, weight in supernet.network.named_parameters():
            if name.startswith("backbone.0.") and weight.dim() == 4:
                weight[0] = 3e38
    return supernet, x


@pytest.mark.parametrize("relaxation", ["connections", "streams"])
def test_a_filter_that_nobody_reads_may_overflow(relaxation: str) -> None:
    supernet, x = hidden(relaxation)
    network = build_network(distill(supernet), weights=supernet)
    for training in (False, True):
        expected = run(network, x, training=training)
        same_outputs(run(supernet, x, training=training), expected, "overflow")


def test_whoever_may_read_an_overflow_says_so() -> None:
    supernet, x = hidden("connections")
    supernet.harden(supernet.wiring.allocation(torch.tensor([0, 1, 2, 0, 1, 2])))
    found = run(supernet, x)
    assert not found["a"].isfinite().any()
    assert found["b"].isfinite().all()


def test_an_image_that_is_not_finite_is_nobody_s_secret() -> None:
    supernet, x = hidden("connections")
    x[0, 0, 0, 0] = float("nan")
    found = run(supernet, x)
    for value in found.values():
        assert not value[0].isfinite().any()
        assert value[1].isfinite().all()
