"""Which dimensions of the search space mattered."""

from __future__ import annotations

from matplotlib.figure import Figure

from sfg_nas.report.canvas import heading, new_figure, plainly, quiet
from sfg_nas.report.palette import FAINT, INK, TASK_COLOURS
from sfg_nas.report.words import short
from sfg_nas.study import Run
from sfg_nas.study.importances import CLEAR, FEWEST, importances


@plainly
def plot_importances(run: Run) -> Figure:
    """Return bars: how much each dimension tells about what makes a trial the best, with 5 % to 95 % of the bootstraps over trials.

    Bars that do not stand out from chance are grey.

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
        rows = range(len(frame))
        colours = [TASK_COLOURS[0] if s >= CLEAR else FAINT for s in frame["above_chance"]]
        axes.barh(rows, frame["importance"], 0.66, color=colours)
        axes.hlines(rows, frame["low"], frame["high"], color=INK, lw=1.1)
        axes.axvline(0, color=FAINT, lw=0.8)
        axes.set_yticks(rows, [short(name, 40) for name in frame["parameter"]])
        axes.invert_yaxis()
        axes.margins(x=0.05)
        of = {"delta": "Δ", "advantage": "the advantage"}[run.quality]
        label = (
            f"growth of the squared error of {of} when it is shuffled, over the variance of {of}"
        )
        axes.set_xlabel(label, fontsize=8, color=INK)
        quiet(axes, grid=False)
    heading(figure, "What mattered in the search space")
    return figure
