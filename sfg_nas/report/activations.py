"""What filters of low and of high entropy see in real images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sfg_nas.errors import ConfigError, explain
from sfg_nas.report.canvas import Found, chosen_trial, heading, new_figure, plainly
from sfg_nas.report.depth import entropy_frame
from sfg_nas.report.palette import FAINT, INK, group_colour
from sfg_nas.report.words import short
from sfg_nas.study import Study
from sfg_nas.study.activations import Maps, activation_maps, mapped_layers

EACH = 3
"""Filters of the least and of the greatest entropy that are shown."""
IMAGES = 6
_SIDES = (8, 4, 1)  # pixels of a map; in the first, more can be seen


@dataclass(frozen=True)
class _Shown:
    """The maps of a layer, and one row per filter to show: place, filter, entropy, group, kind."""

    maps: Maps
    filters: pd.DataFrame


def activation_frame(found: Found, study: Study, *, layer: str | None = None) -> pd.DataFrame:
    """Return one row per filter, image and pixel of the maps that `plot_activations` shows.

    Args:
        found: A trial, or a run, which stands for its best trial.
        study: The run's study with its data, from `load_study(run.files.study)`.
        layer: Which layer; None for the deepest whose maps have at least 8 pixels a side.

    Returns:
        `layer`, `filter`, `kind` (`low entropy` or `high entropy`), `group`, `entropy` (nats), `image`
        (from 0, in the validation part), `y`, `x`, `value`.

    Raises:
        ConfigError: If there is no such layer, or the trial's supernet is gone.
        TrainingError: If a run has no complete trial.
    """
    shown = _choose(found, study, layer)
    frames = []
    for row in shown.filters.to_dict("records"):
        maps = shown.maps.maps[row["place"]]
        image, y, x = np.indices(maps.shape)
        values = {k: row[k] for k in ("filter", "kind", "group", "entropy")}
        pixels = {"image": image.ravel(), "y": y.ravel(), "x": x.ravel(), "value": maps.ravel()}
        frames.append(pd.DataFrame({"layer": shown.maps.layer, **values, **pixels}))
    return pd.concat(frames, ignore_index=True)


@plainly
def plot_activations(found: Found, study: Study, *, layer: str | None = None) -> Figure:
    """Return activation maps on validation images: of the filters with the lowest entropy of p and the highest.

    A map is bright where the filter answers (after norm and activation); each row has its own
    scale. The name beside a row is the filter's most probable group. With photos of people, mind
    that the figure shows them.

    Args:
        found: A trial, or a run, which stands for its best trial.
        study: The run's study with its data, from `load_study(run.files.study)`.
        layer: Which layer; None for the deepest whose maps have at least 8 pixels a side.

    Raises:
        ConfigError: If there is no such layer, or the trial's supernet is gone.
        TrainingError: If a run has no complete trial.
    """
    shown = _choose(found, study, layer)
    tasks = chosen_trial(found).allocation.groups.tasks
    images = _visible(shown.maps.images)
    rows, columns = 1 + len(shown.filters), len(images)
    figure = new_figure(1.9 + 0.95 * columns, 0.6 + 0.95 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        _bare(axes)
    for axes, image in zip(grid[0], images, strict=True):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    _label(grid[0, 0], "image", INK)
    for line, row in zip(grid[1:], shown.filters.to_dict("records"), strict=True):
        maps = shown.maps.maps[row["place"]]
        for axes, values in zip(line, maps, strict=True):
            axes.imshow(
                values, cmap="magma", vmin=maps.min(), vmax=max(maps.max(), maps.min() + 1e-9),
                interpolation="nearest",
            )  # fmt: skip
        group = str(row["group"]).split("+")
        text = f"{row['kind']}\n{short(row['group'], 18)}\nfilter {row['filter']}, H = {row['entropy']:.2f}"
        _label(line[0], text, group_colour(group, tasks))
    heading(figure, f"What filters of {short(shown.maps.layer, 30)} see")
    return figure


def _choose(found: Found, study: Study, layer: str | None) -> _Shown:
    trial = chosen_trial(found)
    layer = layer or _default_layer(found)
    maps = activation_maps(study, trial, layer, images=IMAGES)
    frame = entropy_frame(trial)
    frame = frame[(frame["layer"] == layer) & frame["filter"].isin(maps.filters)]
    frame = frame.sort_values(["entropy", "filter"])
    each = min(EACH, max(1, len(frame) // 2))
    low, high = (
        frame.head(each).assign(kind="low entropy"),
        frame.tail(each).assign(kind="high entropy"),
    )
    both = pd.concat([low, high.iloc[::-1]]).drop_duplicates("filter")
    places = {number: place for place, number in enumerate(maps.filters)}
    return _Shown(maps, both.assign(place=both["filter"].map(places)))


def _default_layer(found: Found) -> str:
    trial = chosen_trial(found)
    learned = set(trial.allocation.layers)
    for least in _SIDES:
        layers = [n for n in mapped_layers(trial.architecture, least_side=least) if n in learned]
        if layers:
            return layers[-1]
    raise ConfigError(
        explain(
            where=f"activation maps of trial {trial.number}",
            rule="a searchable convolution is needed",
            found="none",
            do="look at another trial",
        )
    )


def _visible(images: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return images `[N, H, W]` or `[N, H, W, 3]` from 0 to 1."""
    values = images.astype(np.float64)
    low, high = values.min(), values.max()
    values = (values - low) / (high - low if high > low else 1.0)
    return np.moveaxis(values, 1, -1) if values.shape[1] == 3 else values[:, 0]


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(FAINT)
        spine.set_linewidth(0.5)


def _label(axes: Axes, text: str, colour: str) -> None:
    axes.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=7, color=colour, labelpad=6)
