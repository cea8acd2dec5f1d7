"""The committed curves, replayed: most of the front for less than half of the epochs."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from sfg_nas.config import PrunerConfig
from sfg_nas.study.pruning import RungPruner
from tests.scripts import load_script


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return load_script("benchmarks/pruning/replay.py")


FILES = ("curves.csv", "curves-1.csv")


@pytest.mark.parametrize("name", FILES)
def test_the_curves_are_whole(benchmark: ModuleType, name: str) -> None:
    courses = benchmark.load_courses(name)
    assert len(courses) >= 50
    assert {len(course) for course in courses} == {12}


def test_dominance_as_a_study_sets_it_keeps_the_front(benchmark: ModuleType) -> None:
    defaults = PrunerConfig()
    first = max(defaults.warmup_epochs, 1)
    pruner = RungPruner("dominance", first, defaults.factor, defaults.startup)
    courses = benchmark.load_courses()
    volume, epochs = benchmark.play(pruner, courses)  # in the recorded order
    assert volume >= 0.95
    assert epochs <= 0.5
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(courses)) for _ in range(4)]
    found = [benchmark.play(pruner, [courses[i] for i in order]) for order in orders]
    assert np.mean([volume for volume, _ in found]) >= 0.95
    assert max(epochs for _, epochs in found) <= 0.5


@pytest.mark.parametrize("name", FILES)
def test_what_the_measurements_recommend_keeps_it_in_any_order(
    benchmark: ModuleType, name: str
) -> None:
    pruner = RungPruner("dominance", first=1, factor=3, startup=8)
    courses = benchmark.load_courses(name)
    rng = np.random.default_rng(0)  # the first of the orders that replay.py takes
    for _ in range(6):
        order = rng.permutation(len(courses))
        volume, epochs = benchmark.play(pruner, [courses[i] for i in order])
        assert volume >= 0.95
        assert epochs <= 0.5
