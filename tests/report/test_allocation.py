from __future__ import annotations

import io

import pytest
from matplotlib.patches import Rectangle

from sfg_nas.allocation import Allocation
from sfg_nas.groups import Groups
from sfg_nas.report.allocation import plot_allocation


def allocation() -> Allocation:
    groups = Groups.specialists(("age", "gender"))
    return Allocation(groups, {"conv1": (2, 2, 2, 2), "conv2": (0, 0, 1, 2, 2, 2, 2, 2, 2, 2)})


def test_bars_are_the_shares() -> None:
    axes = plot_allocation(allocation()).axes[0]
    bars = [p for p in axes.patches if isinstance(p, Rectangle)]
    heights = [[b.get_height() for b in bars if round(b.get_x() + 0.39) == x] for x in (0, 1)]
    assert sum(heights[0]) == pytest.approx(1)
    assert sorted(h for h in heights[0] if h) == [1]
    assert sorted(heights[1]) == pytest.approx([0.1, 0.2, 0.7])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["conv1", "conv2"]


def test_counts_are_written() -> None:
    texts = {text.get_text() for text in plot_allocation(allocation()).axes[0].texts}
    assert {"4", "10", "7", "2", "1"} <= texts


def test_a_lattice_is_drawn_with_every_group_in_the_legend() -> None:
    groups = Groups.lattice(("a", "b", "c"))
    figure = plot_allocation(Allocation(groups, {"conv": tuple(range(7))}), title="All groups")
    figure.savefig(io.BytesIO(), format="png")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(labels) == sorted(["a", "b", "c", "a + b", "a + c", "b + c", "all tasks"])
