from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from sfg_nas.report.depth import SEVERAL, entropies, entropy_frame, plot_entropy, specialist_frame
from tests.report.conftest import Small


def test_entropies() -> None:
    p = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1 / 3] * 3])
    assert entropies(p) == pytest.approx([0.0, np.log(2), np.log(3)], abs=1e-9)


def test_kinds_partition_the_filters(small_runs: Mapping[str, Small]) -> None:
    for small in small_runs.values():
        frame = specialist_frame(small.run)
        sizes = {name: len(row) for name, row in small.run.best.allocation.layers.items()}
        assert frame.groupby("layer")["filters"].sum().to_dict() == sizes
        assert frame.groupby("layer")["share"].sum().to_list() == pytest.approx([1.0] * len(sizes))
    assert SEVERAL in set(specialist_frame(small_runs["lattice"].run)["kind"])
    assert SEVERAL not in set(specialist_frame(small_runs["three"].run)["kind"])


def test_entropy_of_every_filter(small_runs: Mapping[str, Small]) -> None:
    run = small_runs["lattice"].run
    frame = entropy_frame(run)
    allocation = run.best.allocation
    assert len(frame) == sum(len(row) for row in allocation.layers.values())
    assert frame["entropy"].between(0, np.log(7) + 1e-6).all()
    assert frame["relative"].to_numpy() == pytest.approx(frame["entropy"] / np.log(7))
    names = allocation.groups.names
    groups = [names[g] for row in allocation.layers.values() for g in row]
    assert frame["group"].to_list() == groups


def test_the_most_there_can_be_is_marked(small_runs: Mapping[str, Small]) -> None:
    axes = plot_entropy(small_runs["two"].run).axes[0]
    lines = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in lines] == pytest.approx([np.log(3)])
