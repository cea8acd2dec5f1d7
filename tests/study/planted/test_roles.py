from __future__ import annotations

import numpy as np
import pytest

from sfg_nas.groups import Groups
from sfg_nas.study.planted import right_groups, role_scores

A, B, AB = frozenset({0}), frozenset({1}), frozenset({0, 1})
TWO = Groups.specialists(["a", "b"])


def test_perfect_and_constant_probabilities() -> None:
    perfect = role_scores([[0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.2, 0.2, 0.6]], TWO, [A, B, AB])
    assert perfect == {"auroc": 1.0, "accuracy": 1.0, "confidence": pytest.approx(0.7)}
    constant = role_scores(np.full((3, 3), 1 / 3), TWO, [A, B, AB])
    assert constant["auroc"] == 0.5
    assert constant["confidence"] == pytest.approx(1 / 3)


def test_a_score_by_hand() -> None:
    # right: .5 and .2; wrong: .3, .2, .1, .7. Of the 8 pairs .5 wins 3, .2 wins 1 and ties 1.
    scores = role_scores([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], TWO, [A, B])
    assert scores["auroc"] == pytest.approx(4.5 / 8)
    assert scores["accuracy"] == 0.5


def test_all_shared_scores_as_badly_as_a_guess() -> None:
    shared = np.tile([0.01, 0.01, 0.98], (9, 1))
    scores = role_scores(shared, TWO, [A] * 3 + [B] * 3 + [AB] * 3)
    assert scores["auroc"] == pytest.approx(0.5)
    assert scores["accuracy"] == pytest.approx(1 / 3)


def test_a_role_without_a_group_belongs_to_the_smallest_that_holds_it() -> None:
    three = Groups.specialists(["a", "b", "c"])
    assert right_groups(three, [A, AB]) == [0, 3]
    lattice = Groups.lattice(["a", "b", "c"])
    assert right_groups(lattice, [A, AB]) == [0, 3]
    listed = Groups.explicit(["a", "b", "c"], ["all", ["a", "b"], ["c"]])
    assert right_groups(listed, [A, AB, frozenset({2})]) == [1, 1, 2]
