"""Figures against depth: which share of the filters is task-specific, and how undecided filters are."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sfg_nas.report.canvas import (
    Found,
    chosen_trial,
    heading,
    layer_ticks,
    members,
    new_figure,
    plainly,
    probabilities_of,
    quiet,
)
from sfg_nas.report.palette import ALL, INK, group_name, task_colour

SEVERAL = "several tasks"
"""The kind of a filter that serves more than one task, but not all."""


def specialist_frame(found: Found) -> pd.DataFrame:
    """Return the share of each kind of filter per layer: `layer`, `depth`, `kind`, `filters`, `share`.

    A kind is one task's own filters, under its name, those of several tasks, or those of all.

    Args:
        found: A trial, or a run, which stands for its best trial.

    Raises:
        TrainingError: If a run has no complete trial.
    """
    allocation = chosen_trial(found).allocation
    tasks = allocation.groups.tasks
    kinds = [_kind(group, tasks) for group in members(allocation.groups)]
    order = dict.fromkeys([*tasks, SEVERAL, group_name(tasks, tasks)])
    rows: list[dict[str, object]] = []
    for depth, (layer, row) in enumerate(allocation.counts().items()):
        for kind in order:
            if kind not in kinds:
                continue
            filters = sum(n for n, k in zip(row, kinds, strict=True) if k == kind)
            share = filters / max(1, sum(row))
            values = {"layer": layer, "depth": depth, "kind": kind}
            rows.append(values | {"filters": filters, "share": share})
    return pd.DataFrame(rows)


def _kind(group: tuple[str, ...], tasks: tuple[str, ...]) -> str:
    if len(group) == 1:
        return group[0]
    return group_name(tasks, tasks) if len(group) == len(tasks) else SEVERAL


@plainly
def plot_specialists(found: Found) -> Figure:
    """Return the share of task-specific filters against depth: all of them, and those of each task.

    Args:
        found: A trial, or a run, which stands for its best trial.

    Raises:
        TrainingError: If a run has no complete trial.
    """
    frame = specialist_frame(found)
    tasks = chosen_trial(found).allocation.groups.tasks
    layers = list(dict.fromkeys(frame["layer"]))
    figure = new_figure(max(4.8, 1.8 + 0.42 * len(layers)), 3.4)
    axes = figure.add_subplot()
    own = frame[frame["kind"].isin(tasks)].groupby("depth")["share"].sum()
    if len(tasks) > 1:
        axes.plot(own.index, own, color=INK, lw=2.2, marker="o", ms=4, label="of one task, in all")
    for task in tasks:
        part = frame[frame["kind"] == task]
        colour = task_colour(task, tasks)
        axes.plot(part["depth"], part["share"], color=colour, lw=1.4, marker="o", ms=3, label=task)
    several = frame[frame["kind"] == SEVERAL]
    if len(several):
        axes.plot(
            several["depth"], several["share"], color=ALL, lw=1.4, ls="--", marker="s", ms=3,
            label=f"of {SEVERAL}",
        )  # fmt: skip
    layer_ticks(axes, layers)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    axes.set_ylabel("share of the layer's filters", fontsize=8.5, color=INK)
    quiet(axes)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    heading(figure, "Filters that serve one task alone, by depth")
    return figure


def entropy_frame(found: Found) -> pd.DataFrame:
    """Return one row per filter: how undecided it is at the end of the search.

    Args:
        found: A trial, or a run, which stands for its best trial.

    Returns:
        `layer`, `depth`, `filter`, `group` (the most probable), `p` (its probability), `entropy`
        (H(p) in nats) and `relative` (H(p) / log G, from 0 for decided to 1 for undecided).

    Raises:
        TrainingError: If a run has no complete trial.
    """
    trial = chosen_trial(found)
    names = np.asarray(trial.allocation.groups.names, dtype=object)
    frames = []
    for depth, (layer, course) in enumerate(probabilities_of(trial).items()):
        p = course[-1].astype(np.float64)
        entropy = entropies(p)
        best = p.argmax(1)
        frames.append(
            pd.DataFrame(
                {
                    "layer": layer,
                    "depth": depth,
                    "filter": np.arange(len(p)),
                    "group": names[best],
                    "p": p.max(1),
                    "entropy": entropy,
                    "relative": entropy / np.log(p.shape[1]) if p.shape[1] > 1 else entropy,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def entropies(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return H(p) in nats over the last axis.

    Args:
        p: Probabilities `[..., G]`.
    """
    safe = np.clip(p, 1e-12, 1.0)
    entropy: NDArray[np.float64] = np.maximum(-(p * np.log(safe)).sum(-1), 0.0)
    return entropy


@plainly
def plot_entropy(found: Found) -> Figure:
    """Return the entropy of p against depth: a dot per filter, and each layer's median and quartiles.

    Args:
        found: A trial, or a run, which stands for its best trial.

    Raises:
        TrainingError: If a run has no complete trial.
    """
    frame = entropy_frame(found)
    groups = chosen_trial(found).allocation.groups
    layers = list(dict.fromkeys(frame["layer"]))
    figure = new_figure(max(4.8, 1.8 + 0.42 * len(layers)), 3.4)
    axes = figure.add_subplot()
    # Spread by the golden ratio: even, and the same in every drawing.
    aside = (frame["filter"] * 0.618034 % 1 - 0.5) * 0.55
    axes.scatter(
        frame["depth"] + aside, frame["entropy"], s=5, color=task_colour(groups.tasks[0], groups.tasks),
        alpha=0.35, lw=0, label="a filter",
    )  # fmt: skip
    quartiles = frame.groupby("depth")["entropy"].quantile(np.array([0.25, 0.5, 0.75])).unstack()
    axes.vlines(quartiles.index, quartiles[0.25], quartiles[0.75], color=INK, lw=2.5)
    axes.plot(quartiles.index, quartiles[0.5], color=INK, lw=1, marker="o", ms=4.5, label="median")
    most = float(np.log(len(groups)))
    axes.axhline(most, color=ALL, lw=1, ls="--", label=f"undecided: log {len(groups)}")
    layer_ticks(axes, layers)
    axes.set_ylim(-0.03 * most - 0.01, 1.12 * most + 0.02)
    axes.set_ylabel("H(p) in nats", fontsize=8.5, color=INK)
    quiet(axes)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False,
        fontsize=8, labelcolor=INK,
    )  # fmt: skip
    heading(figure, "How undecided the filters are, by depth")
    return figure
