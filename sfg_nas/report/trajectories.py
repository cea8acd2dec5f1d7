"""How the probabilities of the groups move during the search, layer by layer."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sfg_nas.report.canvas import (
    Found,
    chosen_trial,
    heading,
    members,
    new_figure,
    panels,
    plainly,
    probabilities_of,
    quiet,
)
from sfg_nas.report.palette import INK, group_colour, group_name
from sfg_nas.report.words import short

COLUMNS = 4
FILTERS = 24
"""Filters of a layer that are drawn one by one."""


def trajectory_frame(found: Found) -> pd.DataFrame:
    """Return one row per layer, epoch and group: how p is spread over the layer's filters.

    Args:
        found: A trial, or a run, which stands for its best trial.

    Returns:
        `layer`, `epoch` (0 is the start), `group`, `mean`, and the deciles `low` (10 %) and
        `high` (90 %).

    Raises:
        TrainingError: If a run has no complete trial.
    """
    trial = chosen_trial(found)
    names = np.asarray(trial.allocation.groups.names, dtype=object)
    frames = []
    for layer, course in probabilities_of(trial).items():
        epochs, groups = np.indices((course.shape[0], course.shape[2]))
        low, high = np.quantile(course.astype(np.float64), [0.1, 0.9], axis=1)
        frames.append(
            pd.DataFrame(
                {
                    "layer": layer,
                    "epoch": epochs.ravel(),
                    "group": names[groups.ravel()],
                    "mean": course.mean(1, dtype=np.float64).ravel(),
                    "low": low.ravel(),
                    "high": high.ravel(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


@plainly
def plot_trajectories(found: Found) -> Figure:
    """Return the training trajectories of p: a panel per layer, a line per group.

    A thick line is the mean over the layer's filters, thin lines are some of the filters.

    Args:
        found: A trial, or a run, which stands for its best trial.

    Raises:
        TrainingError: If a run has no complete trial.
    """
    frame = trajectory_frame(found)
    trial = chosen_trial(found)
    groups, course = trial.allocation.groups, probabilities_of(trial)
    layers = list(dict.fromkeys(frame["layer"]))
    rows = -(-len(layers) // COLUMNS)
    figure = new_figure(7.6, 0.9 + 1.55 * rows)
    made = panels(figure, len(layers), columns=COLUMNS)
    for place, (axes, layer) in enumerate(zip(made, layers, strict=True)):
        part = frame[frame["layer"] == layer]
        for g, group in enumerate(members(groups)):
            line = part[part["group"] == groups.names[g]]
            colour = group_colour(group, groups.tasks)
            label = group_name(group, groups.tasks) if place == 0 else None
            axes.plot(line["epoch"], line["mean"], color=colour, lw=1.6, label=label)
            some = course[layer][:, :: max(1, -(-course[layer].shape[1] // FILTERS)), g]
            axes.plot(some, color=colour, lw=0.4, alpha=0.35)
        axes.set_title(short(layer, 22), fontsize=8, color=INK)
        axes.set_ylim(-0.03, 1.03)
        axes.set_yticks([0, 0.5, 1])
        axes.set_xlim(0, max(1, int(part["epoch"].max())))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        quiet(axes)
        if place % COLUMNS:
            axes.set_yticklabels([])
        else:
            axes.set_ylabel("p", fontsize=8.5, color=INK)
        if place + COLUMNS >= len(layers):
            axes.set_xlabel("epoch", fontsize=8, color=INK)
    figure.legend(
        loc="outside lower center", ncols=min(4, len(groups)), frameon=False, fontsize=8,
        labelcolor=INK,
    )  # fmt: skip
    heading(figure, "Probabilities of the groups during the search")
    return figure
