from __future__ import annotations

import io
import math

import pandas as pd

from sfg_nas.report import plot_comparison
from sfg_nas.tasks import Task


def test_every_network_is_a_point_and_every_method_has_a_name() -> None:
    rows = [
        {"method": method, "scale": "own", "seed": seed, "macs": macs}
        | {"test/a/accuracy": 0.9 + 0.01 * seed, "test/delta": 0.1}
        for method, macs in (("hard-sharing", 100), ("hard-sharing-scaled-0.5", 30), ("found", 60))
        for seed in range(3)
    ]
    figure = plot_comparison(pd.DataFrame(rows), [Task("a", "classification", outputs=2)])
    delta, accuracy = figure.axes
    assert accuracy.get_ylabel() == "a: accuracy"
    points = sum(len(c.get_offsets()) for c in accuracy.collections)
    assert points == 9 + 3
    assert accuracy.lines[0].get_xdata().tolist() == [30, 100]
    assert len(delta.get_legend_handles_labels()[1]) == 3


def test_a_name_between_dollars_is_no_formula() -> None:
    task = Task(r"$\x$", "classification", outputs=2)
    row = {"method": "found", "scale": "own", "seed": 0, "macs": 60, f"test/{task.key}": 0.9}
    figure = plot_comparison(pd.DataFrame([row]), [task])
    figure.savefig(io.BytesIO(), format="svg")
    assert figure.axes[0].get_ylabel() == r"$\x$: accuracy"


def test_a_metric_without_any_value_has_a_panel_that_says_so() -> None:
    task = Task("a", "classification", outputs=2)
    row = {"method": "found", "scale": "own", "seed": 0, "macs": 60, f"test/{task.key}": math.nan}
    figure = plot_comparison(pd.DataFrame([row]), [task])
    figure.savefig(io.BytesIO(), format="svg")
    assert [text.get_text() for text in figure.axes[0].texts] == ["no values"]
