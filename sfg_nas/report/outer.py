"""The outer loop in pictures: how the front grew with the trials, and what lies around the best candidate."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sfg_nas.report.canvas import heading, new_figure, panels, plainly, quiet
from sfg_nas.report.palette import ALL, FAINT, INK, TASK_COLOURS
from sfg_nas.study import Run
from sfg_nas.study.analysis import hypervolume_course, neighbourhood

QUALITIES = {
    "delta": "Δ over single-task [%]",
    "advantage": "advantage over hard sharing [%]",
}
"""What makes a trial the best, for the axes."""


@plainly
def plot_hypervolume(run: Run) -> Figure:
    """Return how the hypervolume of the front (Δ, MACs) and the best Δ grew with the trials.

    Args:
        run: A run with a complete trial.

    Raises:
        TrainingError: If no trial is complete.
    """
    best = run.best.number
    frame = hypervolume_course(run)
    figure = new_figure(7.2, 2.9)
    volume, delta = panels(figure, 2, columns=2)
    volume.step(frame["trial"], 100 * frame["share"], where="post", color=ALL, lw=1.6)
    volume.plot(frame["trial"], 100 * frame["share"], "o", color=ALL, ms=3)
    volume.axhline(95, color=FAINT, lw=0.8, ls=":")
    volume.set_ylim(-3, 105)
    volume.set_ylabel("hypervolume so far [% of the last]", fontsize=8.5, color=INK)
    delta.scatter(frame["trial"], 100 * frame["delta"], s=14, color=TASK_COLOURS[0], lw=0, zorder=3)
    delta.step(frame["trial"], 100 * frame["best"], where="post", color=ALL, lw=1.6)
    top = frame[frame["trial"] == best].iloc[0]
    delta.annotate(
        f"trial {best}", (best, 100 * top["delta"]), (0, 5), textcoords="offset points", size=7,
        color=INK, ha="center",
    )  # fmt: skip
    delta.set_ylabel(QUALITIES["delta"], fontsize=8.5, color=INK)
    for axes in (volume, delta):
        axes.set_xlabel("trial", fontsize=8, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.margins(y=0.15)
        quiet(axes)
    heading(figure, "The front over the trials")
    return figure


@plainly
def plot_neighbourhood(run: Run) -> Figure:
    """Return the trials nearest to the best candidate: a plateau if they are as good, a lucky point if not.

    Args:
        run: A run with a complete trial.

    Raises:
        TrainingError: If no trial is complete.
    """
    frame = neighbourhood(run)
    figure = new_figure(5.2, 3.0)
    axes = figure.add_subplot()
    axes.scatter(frame["distance"], 100 * frame["score"], s=22, color=TASK_COLOURS[0], lw=0)
    axes.axhline(100 * frame["score"].iloc[0], color=FAINT, lw=0.8, ls=":")
    for row in frame.to_dict("records"):
        axes.annotate(
            f"{row['trial']}", (row["distance"], 100 * row["score"]), (0, 5),
            textcoords="offset points", size=7, color=INK, ha="center",
        )  # fmt: skip
    label = "mean distance over the dimensions, each scaled to 0 to 1"
    axes.set_xlabel(label, fontsize=8, color=INK)
    axes.set_ylabel(QUALITIES[run.quality], fontsize=8.5, color=INK)
    axes.margins(x=0.08, y=0.18)
    quiet(axes)
    heading(figure, "Around the best candidate")
    return figure
