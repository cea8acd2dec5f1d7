"""What people look at: the drawing of an architecture, tables and figures.

Every figure is a `matplotlib.figure.Figure` of its own; pyplot and its global state are not used.
"""

from __future__ import annotations

from sfg_nas.report.allocation import plot_allocation
from sfg_nas.report.comparison import plot_comparison
from sfg_nas.report.dot import to_dot
from sfg_nas.report.drawing import draw_architecture
from sfg_nas.report.figures import FIGURES, ImageFigure, RunFigure
from sfg_nas.report.regions import region_tables
from sfg_nas.report.slices import plot_slices
from sfg_nas.report.table import ResultsTable, results_table
from sfg_nas.report.verdict import Verdict, interval, retrained_verdict, verdict_of

__all__ = [
    "FIGURES",
    "ImageFigure",
    "ResultsTable",
    "RunFigure",
    "Verdict",
    "draw_architecture",
    "interval",
    "plot_allocation",
    "plot_comparison",
    "plot_slices",
    "region_tables",
    "results_table",
    "retrained_verdict",
    "to_dot",
    "verdict_of",
]
