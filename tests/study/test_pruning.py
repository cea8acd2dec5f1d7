from __future__ import annotations

import pytest

from sfg_nas.study.pruning import RULES, RungPruner, replay

GOOD, BAD, CHEAP = [0.0, 1.0], [2.0, 2.0], [1.0, 0.0]


def test_rungs_grow_by_the_factor() -> None:
    pruner = RungPruner("dominance", first=2, factor=3)
    assert [epoch for epoch in range(1, 60) if pruner.is_rung(epoch)] == [2, 6, 18, 54]


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_dominated_trial_stops_and_one_on_the_front_goes_on(rule: str) -> None:
    pruner = RungPruner(rule)
    others = {0: [GOOD], 1: [CHEAP], 2: [BAD]}
    assert pruner.stops(3, [[3.0, 3.0]], others)
    assert not pruner.stops(3, [[-1.0, -1.0]], others)
    assert not pruner.stops(3, [[0.1, 0.2]], others)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_where_nothing_is_known_nothing_stops(rule: str) -> None:
    pruner = RungPruner(rule, first=2, startup=1)
    others = {1: [GOOD, GOOD], 2: [GOOD]}
    assert not pruner.stops(3, [BAD], others)  # no rung here
    assert not pruner.stops(0, [BAD, BAD], others)  # a startup trial
    assert not pruner.stops(3, [GOOD, None], others)  # a task had lost its path
    assert pruner.stops(3, [BAD, BAD], others)
    assert not pruner.stops(3, [BAD, BAD], {1: [GOOD], 2: [None, None]})


@pytest.mark.parametrize("rule", sorted(RULES))
def test_one_objective_works_too(rule: str) -> None:
    pruner = RungPruner(rule)
    others = {n: [[float(n)]] for n in range(4)}
    assert [pruner.stops(9, [[value]], others) for value in (-1.0, 1.5, 3.5)] == [
        False, False, True,
    ]  # fmt: skip


def test_a_replay_counts_epochs_and_survivors() -> None:
    courses = [[GOOD] * 4, [BAD] * 4, [CHEAP] * 4]
    played = replay(RungPruner("dominance"), courses)
    assert played.survivors == (0, 2)
    assert played.epochs == 4 + 1 + 4
