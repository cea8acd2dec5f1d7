from __future__ import annotations

import itertools

import pytest
from matplotlib.colors import to_rgb

from sfg_nas.report.palette import (
    ALL,
    INK,
    ON_LIGHT,
    PAPER,
    TASK_COLOURS,
    group_colour,
    group_name,
    ink_on,
    stripes,
    task_colour,
)

TASKS = ("a", "b", "c")


def test_colours_of_tasks_differ_in_lightness_or_hue() -> None:
    for one, other in itertools.combinations((*TASK_COLOURS, ALL), 2):
        assert sum(abs(a - b) for a, b in zip(to_rgb(one), to_rgb(other), strict=True)) > 0.25


def test_groups() -> None:
    assert task_colour("b", TASKS) == TASK_COLOURS[1]
    assert stripes(TASKS, TASKS) == [ALL]
    assert stripes(("a", "c"), TASKS) == [TASK_COLOURS[0], TASK_COLOURS[2]]
    assert group_colour(("a",), TASKS) == TASK_COLOURS[0]
    assert stripes(("a",), ("a",)) == [TASK_COLOURS[0]]
    mean = to_rgb(group_colour(("a", "c"), TASKS))
    parts = zip(to_rgb(TASK_COLOURS[0]), to_rgb(TASK_COLOURS[2]), strict=True)
    assert mean == pytest.approx([(x + y) / 2 for x, y in parts], abs=0.003)


@pytest.mark.parametrize(
    ("colour", "ink"), [("#ffffff", ON_LIGHT), (PAPER, INK), ("#000000", "white"), (ALL, "white")]
)
def test_text_can_be_read(colour: str, ink: str) -> None:
    assert ink_on(colour) == ink


def test_names() -> None:
    assert group_name(TASKS, TASKS) == "all tasks"
    assert group_name(("a", "b"), ("a", "b")) == "both tasks"
    assert group_name(("a", "b"), TASKS) == "a + b"
    assert group_name(("a",), ("a",)) == "a"
