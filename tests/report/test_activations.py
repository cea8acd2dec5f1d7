from __future__ import annotations

from collections.abc import Mapping

import pytest

from sfg_nas.errors import ConfigError
from sfg_nas.report.activations import activation_frame, plot_activations
from sfg_nas.report.depth import entropy_frame
from tests.report.conftest import Small


def test_filters_are_those_of_least_and_greatest_entropy(small_runs: Mapping[str, Small]) -> None:
    small = small_runs["two"]
    frame = activation_frame(small.run, small.study)
    [layer] = set(frame["layer"])
    filters = frame.drop_duplicates("filter")
    every = entropy_frame(small.run)
    every = every[every["layer"] == layer]
    low = filters[filters["kind"] == "low entropy"]["entropy"]
    high = filters[filters["kind"] == "high entropy"]["entropy"]
    assert low.max() <= high.min()
    assert low.min() == every["entropy"].min()
    assert high.max() == every["entropy"].max()


def test_a_row_of_images_and_one_per_filter(small_runs: Mapping[str, Small]) -> None:
    small = small_runs["three"]
    figure = plot_activations(small.run, small.study)
    filters = activation_frame(small.run, small.study)["filter"].nunique()
    images = [axes for axes in figure.axes if axes.images]
    assert len(images) == 6 * (1 + filters)


def test_a_layer_that_is_not_there(small_runs: Mapping[str, Small]) -> None:
    small = small_runs["two"]
    with pytest.raises(ConfigError, match="choose one of"):
        plot_activations(small.run, small.study, layer="nowhere")
