from __future__ import annotations

import pytest
import torch
from torch import nn

from sfg_nas.cost import count_macs, count_params, measure_latency


@pytest.mark.parametrize(
    ("module", "shape", "macs"),
    [
        (nn.Conv2d(3, 5, 3, padding=1), (3, 8, 8), 3 * 5 * 9 * 64),
        (nn.Conv2d(4, 8, 3, stride=2, groups=2), (4, 9, 9), 2 * 8 * 9 * 16),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), (4, 5, 5), 4 * 6 * 4 * 25),
        (nn.Conv3d(2, 3, 3), (2, 5, 5, 5), 2 * 3 * 27 * 27),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 2)), (3, 4), 98),
        (nn.BatchNorm2d(3), (3, 4, 4), 0),
    ],
)
def test_macs_by_hand(module: nn.Module, shape: tuple[int, ...], macs: int) -> None:
    assert count_macs(module, torch.randn(5, *shape)) == macs


@pytest.mark.parametrize("heads", [2, 3])  # torch has a kernel of its own for even numbers
def test_attention_costs_its_two_products_in_every_kernel(heads: int) -> None:
    attention = nn.MultiheadAttention(12, heads, batch_first=True)

    class Itself(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = attention

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.attention(x, x, x, need_weights=False)[0]

    tokens = torch.randn(2, 7, 12)
    for frozen in (False, True):
        attention.requires_grad_(not frozen)
        assert count_macs(Itself(), tokens) == 4 * 7 * 12 * 12 + 2 * 7 * 7 * 12


def test_a_product_with_a_vector_costs_what_a_linear_layer_does() -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.movedim(1, -1) @ self.weight

    assert count_macs(Gate(), torch.randn(2, 8, 5, 3)) == 5 * 3 * 8


def test_counting_changes_nothing() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    module[2].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    count_macs(module, torch.randn(2, 3, 8, 8))
    assert [m.training for m in module] == [True, True, False]
    assert module.training
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(p.grad is None for p in module.parameters())


def test_modes_return_after_an_error() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(RuntimeError):
        count_macs(module, torch.randn(1, 2, 8, 8))
    assert module.training


def test_params_are_those_that_train() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    assert count_params(module) == 3 * 4 * 9 + 4 + 8
    module[0].weight.requires_grad_(requires_grad=False)
    assert count_params(module) == 4 + 8


def test_latency_says_where_and_how_often_it_was_measured() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    mean = module[1].running_mean.clone()
    small = measure_latency(module, torch.randn(2, 3, 8, 8), repeats=9)
    assert (small.device, small.batch, small.repeats, small.threads) == ("cpu", 2, 9, 1)
    assert small.median_seconds > 0
    assert small.spread_seconds >= 0
    assert module.training
    assert torch.equal(module[1].running_mean, mean)
    large = measure_latency(module, torch.randn(64, 3, 64, 64), repeats=9)
    assert large.median_seconds > small.median_seconds
