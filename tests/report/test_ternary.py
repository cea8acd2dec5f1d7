from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection

from sfg_nas.groups import Groups
from sfg_nas.report.ternary import _cells, pairs, plot_paths, plot_ternary, ternary_frame, triangle
from tests.report.conftest import Small

TWO = Groups.specialists(("a", "b"))
LATTICE = Groups.lattice(("a", "b", "c"))


def test_two_tasks_are_p_itself() -> None:
    p = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    assert triangle(p, TWO, 0, 1) == pytest.approx(p)
    assert triangle(p, TWO, 1, 0) == pytest.approx(p[:, [1, 0, 2]])


def test_of_more_tasks_a_group_counts_by_which_of_the_two_it_holds() -> None:
    #                a    b    c    ab   ac   bc   abc
    p = np.array([0.10, 0.20, 0.1, 0.15, 0.05, 0.25, 0.15])
    serves = 0.9  # all but c alone
    wanted = [0.15 / serves, 0.45 / serves, 0.30 / serves]
    assert triangle(p, LATTICE, 0, 1) == pytest.approx(wanted)


def test_what_more_probably_serves_neither_is_left_out() -> None:
    p = np.array([[0.2, 0.2, 0.6, 0, 0, 0, 0], [0.3, 0.3, 0.4, 0, 0, 0, 0]])
    found = triangle(p, LATTICE, 0, 1)
    assert np.isnan(found[0]).all()
    assert found[1] == pytest.approx([0.5, 0.5, 0.0])


def test_pairs() -> None:
    assert pairs(("a",)) == []
    assert pairs(("a", "b", "c")) == [(0, 1), (0, 2), (1, 2)]


def test_cells_fill_the_triangle_without_overlap() -> None:
    corners = _cells()
    plane = corners[..., :2]
    first, second = plane[:, 1] - plane[:, 0], plane[:, 2] - plane[:, 0]
    areas = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2
    assert areas == pytest.approx(0.5 / len(corners))
    assert corners.sum(-1) == pytest.approx(1.0)
    assert corners.min() >= 0
    assert len(np.unique(corners.mean(1).round(6), axis=0)) == len(corners)


def test_the_density_is_where_the_filters_are(small_runs: Mapping[str, Small]) -> None:
    run = small_runs["two"].run
    frame = ternary_frame(run)
    last = frame[
        (frame["layer"] == frame["layer"].iloc[0]) & (frame["epoch"] == frame["epoch"].max())
    ]
    figure = plot_ternary(run)
    assert len(figure.axes) == frame["layer"].nunique()
    [cells] = [c for c in figure.axes[0].collections if isinstance(c, PolyCollection)]
    middles = np.stack([path.vertices[:3].mean(0) for path in cells.get_paths()])
    points = figure.axes[0].transProjection.transform(last[["both", "only_first", "only_second"]])
    nearest = np.linalg.norm(points[:, None] - middles[None], axis=-1).min(1)
    assert nearest.max() < 0.05  # every filter lies in a coloured cell


def test_paths_begin_together_and_end_apart(small_runs: Mapping[str, Small]) -> None:
    run = small_runs["lattice"].run
    figure = plot_paths(run)
    assert len(figure.axes) == 3 * len(run.best.allocation.layers)
    [lines] = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    segments = np.stack(lines.get_segments())
    assert np.ptp(segments[:, 0], axis=0).max() < 1e-6
    assert np.ptp(segments[:, -1], axis=0).max() > 1e-3


def test_layers_can_be_chosen(small_runs: Mapping[str, Small]) -> None:
    run = small_runs["three"].run
    layer = next(iter(run.best.allocation.layers))
    figure = plot_ternary(run, layers=[layer])
    assert [axes.get_title() for axes in figure.axes] == [layer] * 3
