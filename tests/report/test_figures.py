"""What every figure must do: show something of any run, with numbers behind it, names taken literally."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from sfg_nas.report.figures import FIGURES, ImageFigure, architecture_frame
from tests.report.conftest import VARIANTS, Small


def draw(name: str, small: Small) -> Figure:
    entry = FIGURES[name]
    if isinstance(entry, ImageFigure):
        return entry.draw(small.run, small.study)
    return entry.draw(small.run)


def frame_of(name: str, small: Small) -> pd.DataFrame:
    entry = FIGURES[name]
    if isinstance(entry, ImageFigure):
        return entry.frame(small.run, small.study)
    return entry.frame(small.run)


def pixels(figure: Figure) -> np.ndarray:
    file = io.BytesIO()
    figure.savefig(file, format="raw", dpi=50)
    return np.frombuffer(file.getvalue(), dtype=np.uint8).reshape(-1, 4)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", FIGURES)
def test_figure_and_frame(name: str, variant: str, small_runs: Mapping[str, Small]) -> None:
    small = small_runs[variant]
    frame = frame_of(name, small)
    assert len(frame)
    assert all(isinstance(column, str) for column in frame.columns)
    figure = draw(name, small)
    assert isinstance(figure, Figure)
    assert figure.axes
    assert all(axes.has_data() or axes.images for axes in figure.axes) or name == "architecture"
    colours = np.unique(pixels(figure), axis=0)
    assert len(colours) > 10  # text alone gives shades of one ink


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_run_gives_the_same_frame(name: str, small_runs: Mapping[str, Small]) -> None:
    small = small_runs["two"]
    pd.testing.assert_frame_equal(frame_of(name, small), frame_of(name, small))


def test_every_entry_says_what_it_shows() -> None:
    assert FIGURES
    for entry in FIGURES.values():
        assert entry.title
        assert entry.caption.endswith(".")


def test_a_trial_can_be_drawn_too(small_runs: Mapping[str, Small]) -> None:
    run = small_runs["two"].run
    trial = run.complete[-1]
    for name in ("allocation", "specialists", "ternary", "paths", "trajectories", "entropy"):
        entry = FIGURES[name]
        assert len(entry.frame(trial))  # type: ignore[call-arg, arg-type]
        assert pixels(entry.draw(trial)).any()  # type: ignore[call-arg, arg-type]


def test_flows_of_the_drawing_carry_channels(small_runs: Mapping[str, Small]) -> None:
    frame = architecture_frame(small_runs["two"].run)
    assert (frame["channels"] > 0).all()
    assert set(frame["source_group"]) <= {"left", "right", "left+right"}


def test_a_run_without_a_complete_trial_says_so(small_runs: Mapping[str, Small], tmp_path) -> None:  # noqa: ANN001
    from sfg_nas.errors import TrainingError

    empty = replace(small_runs["two"].run, path=tmp_path)
    with pytest.raises(TrainingError, match="at least one complete trial"):
        draw("front", Small(empty, small_runs["two"].study))
