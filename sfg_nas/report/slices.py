"""Pictures of synthesised CT, its error, and segmentations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sfg_nas.report.canvas import plainly
from sfg_nas.study.slices import SliceView

HU = (-400.0, 1000.0)
"""Range of attenuation that is drawn from black to white."""
MOST_ERROR = 500.0
"""Error in HU from which on the colour is the same."""
_COLOURS = ("#222222", "#e8c468", "#2a9d8f", "#4c78c8", "#d1495b", "#8e6c8a", "#9a9a9a", "#66aa55")
_TITLES = ("MR", "CT", "synthesised CT", "error", "organs", "segmentation")


@plainly
def plot_slices(views: Sequence[SliceView], organs: Sequence[str]) -> Figure:
    """Return a picture with a row for each subject: MR, CT, synthesised CT, error map, organs and segmentation.

    What a subject or the network lacks is left empty.

    Args:
        views: One slice of each subject.
        organs: Names of the classes from 1.
    """
    rows = max(len(views), 1)
    figure = Figure(figsize=(2.2 * len(_TITLES), 1.9 * rows + 0.7), layout="constrained")
    axes = figure.subplots(rows, len(_TITLES), squeeze=False)
    errors = Normalize(-MOST_ERROR, MOST_ERROR)
    for row, view in zip(axes, views, strict=False):
        _grey(row[0], view.mr, (float(view.mr.min()), float(np.percentile(view.mr, 99.8))))
        _grey(row[1], view.ct, HU)
        _grey(row[2], view.synthesised, HU)
        if view.ct is not None and view.synthesised is not None:
            error = view.synthesised - view.ct
            row[3].imshow(error.T, origin="lower", cmap="RdBu_r", norm=errors)
        _classes(row[4], view.labels, len(organs))
        _classes(row[5], view.segmented, len(organs))
        row[0].set_ylabel(view.subject)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_facecolor("#f4f4f4")
    for axis, title in zip(axes[0], _TITLES, strict=True):
        axis.set_title(title)
    bar = figure.colorbar(
        ScalarMappable(errors, "RdBu_r"), ax=list(axes[:, 3]), location="bottom", shrink=0.9
    )
    bar.set_label("HU")
    handles = [
        Patch(color=_COLOURS[(place + 1) % len(_COLOURS)], label=name)
        for place, name in enumerate(organs)
    ]
    figure.legend(handles=handles, loc="outside lower right", ncols=len(handles), frameon=False)
    return figure


def _grey(axis: Axes, values: NDArray[np.float32] | None, between: tuple[float, float]) -> None:
    if values is not None:
        low, high = between
        axis.imshow(values.T, origin="lower", cmap="gray", vmin=low, vmax=high)


def _classes(axis: Axes, values: NDArray[np.int64] | None, organs: int) -> None:
    if values is None:
        return
    colours = ["#ffffff", *[_COLOURS[k % len(_COLOURS)] for k in range(organs + 1)]]
    colours[1] = "#dddddd"
    axis.imshow(
        values.T,
        origin="lower",
        cmap=ListedColormap(colours),
        vmin=-1.5,
        vmax=organs + 0.5,
        interpolation="nearest",
    )
