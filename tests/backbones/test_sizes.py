from __future__ import annotations

import pytest

from sfg_nas.backbones.sizes import kept, scaled


@pytest.mark.parametrize(
    ("depth", "expected"),
    [(None, [1, 1, 2, 2, 2]), (8, [1, 1, 2, 2, 2]), (7, [1, 1, 2, 2, 1]), (2, [1, 1]), (1, [1])],
)
def test_kept_counts_from_the_front(depth: int | None, expected: list[int]) -> None:
    assert kept([1, 1, 2, 2, 2], depth) == expected


@pytest.mark.parametrize(("width", "filters"), [(1.0, 64), (0.25, 16), (0.3, 19), (0.001, 1)])
def test_scaled_rounds_and_never_gives_none(width: float, filters: int) -> None:
    assert scaled(64, width) == filters
