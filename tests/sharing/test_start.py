from __future__ import annotations

import pytest
import torch

from sfg_nas.errors import ConfigError
from sfg_nas.groups import Groups
from sfg_nas.sharing import STARTS, Start

GROUPS = Groups.specialists(["age", "sex"])
LAYERS = {"a": [0, 1, 2, 3], "b": [4, 5, 6, 7], "c": [8, 9, 10, 11]}


def start(**options: object) -> torch.Tensor:
    """Return the starting probabilities of twelve filters in three layers."""
    seed = options.pop("seed", 0)
    return Start(**options).probabilities(GROUPS, LAYERS, 12, seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", STARTS)
def test_rows_are_distributions_and_repeat(kind: str) -> None:
    table = start(kind=kind)
    assert table.shape == (12, 3)
    assert torch.allclose(table.sum(1), torch.ones(12))
    assert bool((table > 0).all())
    assert torch.equal(table, start(kind=kind))


def test_thirds() -> None:
    assert torch.allclose(start(), torch.full((12, 3), 1 / 3))


def test_dirichlet_draws_differ_and_concentrate() -> None:
    wide, narrow = start(kind="dirichlet"), start(kind="dirichlet", concentration=1e4)
    assert not torch.equal(wide, start(kind="dirichlet", seed=1))
    assert float(wide.std(0).min()) > 0.1
    assert float((narrow - 1 / 3).abs().max()) < 0.02


@pytest.mark.parametrize("concentration", [1, 0.3, 0.01])
def test_dirichlet_draws_are_dirichlet_draws_however_small_the_concentration(
    concentration: float,
) -> None:
    drawn = Start("dirichlet", concentration=concentration)
    table = drawn.probabilities(GROUPS, LAYERS, 2000, 0).double()
    assert torch.allclose(table.mean(0), torch.full((3,), 1 / 3, dtype=torch.double), atol=0.04)
    variance = 2 / 9 / (3 * concentration + 1)
    assert table.var(0).tolist() == pytest.approx([variance] * 3, rel=0.12)


def test_near_shared() -> None:
    expected = torch.tensor([0.1, 0.1, 0.8]).repeat(12, 1)
    assert torch.allclose(start(kind="near-shared", confidence=0.8), expected)


def test_vertices_keep_their_proportions() -> None:
    table = start(kind="vertices", confidence=0.9)
    assert torch.bincount(table.argmax(1)).tolist() == [4, 4, 4]
    assert torch.allclose(table.max(1).values, torch.tensor(0.9))
    table = start(kind="vertices", proportions=(1.0, 0.0, 3.0))
    assert torch.bincount(table.argmax(1), minlength=3).tolist() == [3, 0, 9]


@pytest.mark.parametrize(("split", "shared"), [(0, 0), (1, 4), (2, 8), (3, 12), (None, 4)])
def test_branched_is_a_tree_split_at_a_layer(split: int | None, shared: int) -> None:
    favoured = start(kind="branched", split=split).argmax(1).tolist()
    assert favoured == [2] * shared + [0, 0, 1, 1] * ((12 - shared) // 4)


def test_branched_keeps_tied_filters_where_they_first_stand() -> None:
    layers = {"a": [0, 1], "b": [0, 1], "c": [2, 3]}
    table = Start(kind="branched", split=1).probabilities(GROUPS, layers, 4, 0)
    assert table.argmax(1).tolist() == [2, 2, 0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "halves"}, "start.kind: .* found 'halves'"),
        ({"confidence": 1.0}, "0 < confidence < 1"),
        ({"confidence": 0.0}, "0 < confidence < 1"),
        ({"concentration": 0.0}, "concentration > 0"),
        ({"kind": "vertices", "proportions": (1.0, 1.0)}, "one share >= 0 for each of the 3"),
        ({"kind": "vertices", "proportions": (1.0, -1.0, 1.0)}, "one share >= 0"),
        ({"kind": "vertices", "proportions": (0.0, 0.0, 0.0)}, "one share >= 0"),
        ({"kind": "branched", "split": 4}, "0 <= split <= 3"),
        ({"kind": "branched", "split": -1}, "0 <= split <= 3"),
    ],
)
def test_wrong_values_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        start(**options)


@pytest.mark.parametrize(
    ("sets", "branches"),
    [
        ([["a"], "all"], ["a", "a+b+c"]),
        ([["a"], ["b", "c"], "all"], ["a", "b+c"]),
        ([["a", "b"], ["b", "c"]], ["a+b", "b+c"]),
    ],
)
def test_branches_are_the_smallest_group_of_each_task(
    sets: list[str | list[str]], branches: list[str]
) -> None:
    groups = Groups.explicit(["a", "b", "c"], sets)
    table = Start(kind="branched", split=0).probabilities(groups, LAYERS, 12, 0)
    found = {groups.names[g] for g in table.argmax(1).tolist()}
    assert found == set(branches)


def test_branched_needs_a_group_that_leaves_out_a_task() -> None:
    groups = Groups.explicit(["a", "b"], ["all"])
    with pytest.raises(ConfigError, match="a group that leaves out some task"):
        Start(kind="branched").probabilities(groups, LAYERS, 12, 0)
