"""Pictures of slices: a row for each subject, and gaps where there is nothing to show."""

from __future__ import annotations

import io

import numpy as np

from sfg_nas.report import plot_slices
from sfg_nas.study import SliceView


def test_a_row_for_each_subject_and_gaps() -> None:
    rng = np.random.default_rng(0)
    mr, ct = rng.normal(size=(2, 8, 6))
    labels = rng.integers(-1, 3, (8, 6))
    whole = SliceView("first", mr, 100 * ct, 90 * ct, labels, labels)
    part = SliceView("second", mr, None, 90 * ct, None, None)
    figure = plot_slices([whole, part], ["bone", "bladder"])
    figure.canvas.draw()
    grid = np.reshape(figure.axes[:12], (2, 6))
    assert [len(axis.images) for axis in grid[0]] == [1] * 6
    assert [len(axis.images) for axis in grid[1]] == [1, 0, 1, 0, 0, 0]
    assert np.allclose(grid[0, 3].images[0].get_array(), (-10 * ct).T)
    assert [axis.get_ylabel() for axis in grid[:, 0]] == ["first", "second"]
    assert [text.get_text() for text in figure.legends[0].texts] == ["bone", "bladder"]


def test_names_between_dollars_are_no_formulas() -> None:
    view = SliceView(r"$\x$", np.zeros((8, 6)), None, None, None, None)
    figure = plot_slices([view], [r"$\y$"])
    figure.savefig(io.BytesIO(), format="svg")
    assert figure.axes[0].get_ylabel() == r"$\x$"
