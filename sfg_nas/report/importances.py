"""Which dimensions of the search space mattered."""

from __future__ import annotations

from matplotlib.figure import Figure

from sfg_nas.report.canvas import heading, new_figure, plainly, quiet
from sfg_nas.report.palette import INK, TASK_COLOURS
from sfg_nas.report.words import short
from sfg_nas.study import Run
from sfg_nas.study.importances import FEWEST, importances


@plainly
def plot_importances(run: Run) -> Figure:
    """Return bars: how much of the variance of Δ over the trials each dimension explains.

    Args:
        run: A run.
    """
    frame = importances(run)
    figure = new_figure(6.4, 0.9 + 0.27 * max(2, len(frame)))
    if frame.empty:
        text = f"Too few complete trials, or all alike: at least {FEWEST} that differ are needed."
        figure.text(0.5, 0.4, text, ha="center", color=INK, size=8.5)
    else:
        axes = figure.add_subplot()
        places = range(len(frame))
        axes.barh(places, 100 * frame["importance"], 0.66, color=TASK_COLOURS[0])
        for place, value in zip(places, frame["importance"], strict=True):
            axes.text(
                100 * value + 0.8, place, f"{100 * value:.0f}", size=7, va="center", color=INK
            )
        axes.set_yticks(places, [short(name, 40) for name in frame["parameter"]])
        axes.invert_yaxis()
        axes.set_xlim(0, 106)
        axes.set_xlabel("share of the variance of Δ over the trials [%]", fontsize=8, color=INK)
        quiet(axes, grid=False)
    heading(figure, "What mattered in the search space")
    return figure
