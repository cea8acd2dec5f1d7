from __future__ import annotations

import pytest
import torch
from torch import nn

from sfg_nas.data.planted import plant
from sfg_nas.sharing import Supernet, convert
from sfg_nas.study.planted import oracle_allocation, shared_fraction


def supernet(tasks: int, groups: str = "specialists", **options: object) -> Supernet:
    backbone = nn.Sequential(nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Conv2d(12, 24, 3))
    head = lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 1))  # noqa: E731
    heads = {name: head() for name in "abcde"[:tasks]}
    return convert(backbone, heads, torch.zeros(1, 3, 8, 8), groups, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("relatedness", "expected"), [(0.0, (6, 6, 0)), (0.5, (4, 4, 4)), (1.0, (0, 0, 12))]
)
def test_the_oracle_divides_filters_as_factors(
    relatedness: float, expected: tuple[int, int, int]
) -> None:
    found = oracle_allocation(supernet(2), plant(factors=6, relatedness=relatedness)).counts()
    first, second = found.values()
    assert first == expected
    assert second == tuple(2 * count for count in expected)


def test_the_oracle_knows_subsets() -> None:
    truth = plant(tasks=3, factors=4, relatedness=0.5)  # 6 own factors and 3 of a pair
    counts = next(iter(oracle_allocation(supernet(3, "lattice"), truth).counts().values()))
    assert sum(counts) == 12
    assert counts[6] == 0
    assert all(abs(count - 8 / 3) <= 1 for count in counts[:3])
    assert all(abs(count - 4 / 3) <= 1 for count in counts[3:6])


def test_shared_fraction_by_hand() -> None:
    # Of the second layer's filters, own ones read own and shared channels, shared ones read shared.
    assert shared_fraction(supernet(2)) == pytest.approx((1 / 3 + 1 / (1 + 2 + 2)) / 2)
    # lattice: a single task reads 4 of 7 groups, a pair 2, all of them 1
    expected = (4 / 7 + (3 * 2 + 1) / (3 * 4 + 3 * 2 + 1)) / 2
    assert shared_fraction(supernet(3, "lattice")) == pytest.approx(expected)
    net = supernet(2, start="branched")  # the first of two layers shared with 0.9, the second own
    own, shared = 2 * 0.475 * (0.05 + 0.9), 0.05 * 0.9
    assert shared_fraction(net) == pytest.approx((0.9 + shared / (own + shared)) / 2, abs=1e-3)


def test_shared_filters_that_read_nothing_do_not_count() -> None:
    net = supernet(2)
    first, second = net.wiring.layers.values()
    with torch.no_grad():  # the first layer is task a's, the second half a's and half everyone's
        for rows, group in ((first, 0), (second[::2], 0), (second[1::2], 2)):
            net.assignments.filter_logits[rows] = 20.0 * torch.eye(3)[group]
    assert shared_fraction(net) < 0.01
