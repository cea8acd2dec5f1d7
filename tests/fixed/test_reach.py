"""Budgets within which what opens a path is held."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfg_nas.fixed import distill, reach
from sfg_nas.fixed.budget import Connections, Index, solve
from sfg_nas.fixed.choose import _scores
from sfg_nas.fixed.connections import connections_of
from sfg_nas.sharing import Supernet
from tests.fixed.test_tree import chain, undecided


@pytest.fixture
def supernet() -> Supernet:
    return undecided(chain(2, "specialists"), 4)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4, 0.6, 0.9])
def test_nothing_is_solved_for_twice(
    supernet: Supernet, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where what opens a path does not fit, the same would be held and chosen again and again."""
    connections, scores = connections_of(supernet), _scores(supernet)
    solved: list[bytes] = []

    def noted(
        connections: Connections, held: np.ndarray, limit: float
    ) -> tuple[Index, float] | None:
        solved.append(held.tobytes())
        return solve(connections, held, limit)

    monkeypatch.setattr(reach, "solve", noted)
    limit = share * connections.everything
    found = reach.reaching(supernet, connections, scores, limit)
    assert len(set(solved)) == len(solved) > 0
    if found is not None:
        chosen, bound = found
        assert connections.cost(chosen) <= limit
        assert scores[np.arange(len(chosen)), chosen].sum() <= bound
        assert (reach.opened_paths(supernet, chosen) == chosen).all()
        distill(supernet, supernet.wiring.allocation(torch.from_numpy(chosen)))


def test_budgets_of_both_kinds_are_among_these(supernet: Supernet) -> None:
    connections, scores = connections_of(supernet), _scores(supernet)
    found = [
        reach.reaching(supernet, connections, scores, share * connections.everything)
        for share in (0.1, 0.2, 0.4, 0.6, 0.9)
    ]
    assert None in found
    assert any(answer is not None for answer in found)
