from __future__ import annotations

import itertools

import numpy as np
import pytest

from sfg_nas.study.fronts import choose, contributions, front_ranks, hypervolume, reference_of


def random_points(count: int, objectives: int, seed: int) -> np.ndarray:
    # Few values, so that points tie in some objectives.
    return np.random.default_rng(seed).integers(0, 6, (count, objectives)).astype(float)


def test_fronts_by_hand() -> None:
    points = np.array([[0, 3], [1, 1], [3, 0], [2, 2], [1, 1], [3, 3.0]])
    assert front_ranks(points).tolist() == [0, 0, 0, 1, 0, 2]


def test_hypervolume_by_hand() -> None:
    points = np.array([[0, 2], [1, 1], [2, 0], [5, 5.0]])
    assert hypervolume(points, np.array([3.0, 3.0])) == 3 + 2 + 1
    assert hypervolume(points, np.array([0.0, 0.0])) == 0
    assert contributions(points, np.array([3.0, 3.0])).tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_hypervolume_is_what_counting_cells_gives(objectives: int, seed: int) -> None:
    points = random_points(7, objectives, seed)
    reference = np.full(objectives, 5.0)
    cells = itertools.product(range(5), repeat=objectives)
    dominated = sum(bool((points <= np.array(cell)).all(1).any()) for cell in cells)
    assert hypervolume(points, reference) == pytest.approx(dominated)


def test_the_chosen_add_the_most_and_units_do_not_matter() -> None:
    points = random_points(20, 2, 3) + np.random.default_rng(0).random((20, 2))
    chosen = choose(points, 5)
    assert chosen == choose(points * [1e9, 1e-3] + [7, -2], 5)
    assert len(set(chosen)) == 5
    reference = reference_of(points)
    whole = hypervolume(points, reference)
    others = [list(rest) for rest in itertools.combinations(range(20), 5)]
    best = max(hypervolume(points[rest], reference) for rest in others[:2000])
    assert hypervolume(points[chosen], reference) > 0.9 * best
    assert hypervolume(points[choose(points, 20)], reference) == pytest.approx(whole)


def test_the_reference_is_worse_than_every_point() -> None:
    for points in (random_points(5, 3, 0), np.zeros((2, 2)), np.array([[1e9, 2.0]])):
        assert (points < reference_of(points)).all()
