"""All figures that can be drawn of a run, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from sfg_nas.report.activations import activation_frame, plot_activations
from sfg_nas.report.allocation import allocation_frame, plot_allocation
from sfg_nas.report.canvas import Found, chosen_trial
from sfg_nas.report.depth import entropy_frame, plot_entropy, plot_specialists, specialist_frame
from sfg_nas.report.drawing import draw_architecture
from sfg_nas.report.front import front_frame, plot_front
from sfg_nas.report.importances import plot_importances
from sfg_nas.report.outer import plot_hypervolume, plot_neighbourhood
from sfg_nas.report.sketch import sketch
from sfg_nas.report.ternary import plot_paths, plot_ternary, ternary_frame
from sfg_nas.report.trajectories import plot_trajectories, trajectory_frame
from sfg_nas.study import Run, Study
from sfg_nas.study.analysis import hypervolume_course, neighbourhood
from sfg_nas.study.importances import importances


@dataclass(frozen=True)
class RunFigure:
    """A figure that any run gives, and the numbers behind it.

    Attributes:
        title: For a list or a heading.
        caption: What a reader sees in it.
        draw: Makes the figure of a run.
        frame: Returns the figure's numbers.
    """

    title: str
    caption: str
    draw: Callable[[Run], Figure]
    frame: Callable[[Run], pd.DataFrame]


@dataclass(frozen=True)
class ImageFigure:
    """A figure that needs the data of a run's study besides.

    Attributes:
        title: For a list or a heading.
        caption: What a reader sees in it.
        draw: Makes the figure of a run and its study.
        frame: Returns the figure's numbers.
    """

    title: str
    caption: str
    draw: Callable[[Run, Study], Figure]
    frame: Callable[[Run, Study], pd.DataFrame]


def plot_architecture(found: Found) -> Figure:
    """Return the drawing of the best network, or of a trial's.

    Args:
        found: A trial, or a run, which stands for its best trial.

    Raises:
        TrainingError: If a run has no complete trial.
    """
    return draw_architecture(chosen_trial(found).architecture)


def architecture_frame(found: Found) -> pd.DataFrame:
    """Return one row per flow of the drawing: what is read by what.

    Args:
        found: A trial, or a run, which stands for its best trial.

    Returns:
        `source` and `target` (nodes of the architecture), `source_group` and `target_group`, `channels`.

    Raises:
        TrainingError: If a run has no complete trial.
    """
    drawn = sketch(chosen_trial(found).architecture)
    return pd.DataFrame(
        [
            {
                "source": flow.source,
                "target": flow.target,
                "source_group": "+".join(drawn.blocks[flow.source].group),
                "target_group": "+".join(drawn.blocks[flow.target].group),
                "channels": flow.channels,
            }
            for flow in drawn.flows
        ]
    )


FIGURES: dict[str, RunFigure | ImageFigure] = {
    "architecture": RunFigure(
        "The best network",
        "Each strip is a group of tasks, each block the filters of one layer that the group owns; a band is what "
        "a block reads of another.",
        plot_architecture,
        architecture_frame,
    ),
    "allocation": RunFigure(
        "Allocation per layer",
        "Which share of each layer's filters serves which tasks, from the image on the left to the heads on the "
        "right; the number above a bar is its filters.",
        plot_allocation,
        allocation_frame,
    ),
    "specialists": RunFigure(
        "Task-specific filters by depth",
        "The share of filters that serve one task alone.",
        plot_specialists,
        specialist_frame,
    ),
    "ternary": RunFigure(
        "Where the probabilities lie",
        "Each filter is a point: in a lower corner it serves one task alone, at the top both. The colour is the "
        "density of filters, from low (light blue) to the highest of the layer (orange). With more than two "
        "tasks there is a row for each pair; filters that more probably serve neither are left out.",
        plot_ternary,
        ternary_frame,
    ),
    "paths": RunFigure(
        "The probabilities on their way",
        "The way of single filters through the same triangles during the search, ending in a dot.",
        plot_paths,
        ternary_frame,
    ),
    "trajectories": RunFigure(
        "Trajectories of p",
        "The probability of each group during the search; a thick line is the mean over the layer's filters, thin "
        "lines are some of the filters.",
        plot_trajectories,
        trajectory_frame,
    ),
    "entropy": RunFigure(
        "Entropy by depth",
        "How undecided each filter is at the end of the search: 0 is decided, the dashed line is the most "
        "undecided there can be. Bars hold the middle half of a layer's filters.",
        plot_entropy,
        entropy_frame,
    ),
    "front": RunFigure(
        "Accuracy against cost",
        "Up is better, left is cheaper; the line is the Pareto front. Bars are one standard deviation over seeds.",
        plot_front,
        front_frame,
    ),
    "importances": RunFigure(
        "What mattered in the search space",
        "How much worse a random forest foretells Δ when one dimension is shuffled, over the variance of Δ. Lines "
        "hold nine tenths of the bootstraps over trials; grey bars do not stand out from a column of pure chance.",
        plot_importances,
        importances,
    ),
    "hypervolume": RunFigure(
        "The front over the trials",
        "Left, which part of its last hypervolume (Δ and MACs, each scaled to its range) the front of the trials so "
        "far had, dotted 95 %. Right, Δ of each complete trial and the best so far.",
        plot_hypervolume,
        hypervolume_course,
    ),
    "neighbourhood": RunFigure(
        "Around the best candidate",
        "The complete trials nearest to the best candidate, by number: a plateau if they are nearly as good (dotted: "
        "the best), a lucky point if not.",
        plot_neighbourhood,
        neighbourhood,
    ),
    "activations": ImageFigure(
        "What filters see",
        "Activation maps on validation images, of the filters with the lowest and the highest entropy of p.",
        plot_activations,
        activation_frame,
    ),
}
"""Figures by name; all of them pass the same test."""
