"""The picture of an architecture: trunk and branches from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Patch, PathPatch, Rectangle
from matplotlib.path import Path

from sfg_nas.architecture import Architecture
from sfg_nas.report.layout import GAP, Band, Box, Row, lay_out
from sfg_nas.report.palette import (
    FAINT,
    INK,
    PAPER,
    group_colour,
    group_name,
    ink_on,
    stripes,
    task_colour,
)
from sfg_nas.report.sketch import sketch
from sfg_nas.report.words import counted, layer_names, short, together

# Inches.
LEFT, RIGHT = 1.05, 0.2
ABOVE, HEADER, LEGEND_LINE = 0.40, 0.95, 0.20
LETTER = 0.062  # of a layer's name, which is written upwards below its column
INSIDE = 0.145  # a block at least so tall has its channels written inside

COLUMNS_PER_ROW = 32


def draw_architecture(
    architecture: Architecture,
    *,
    title: str | None = None,
    columns_per_row: int = COLUMNS_PER_ROW,
) -> Figure:
    """Return a drawing of an architecture.

    Each strip is a group of tasks, each block the filters of one layer that the group owns, its
    height their number; a band is what a block reads of another, its width the channels that
    flow. What is read past other blocks (a shortcut) runs above its strip at 0.4 of its width.
    Norms, activations and poolings are counted to the layer before them.

    Args:
        architecture: What to draw.
        title: First line; None for the names of the tasks.
        columns_per_row: Columns of layers after which the drawing goes on in a new row.
    """
    tasks = architecture.tasks
    drawn = sketch(architecture)
    rows = lay_out(drawn, tasks, columns_per_row=max(2, columns_per_row))
    names = layer_names(drawn)
    below = [_below(row, names) for row in rows]
    width = max(LEFT + max(row.width for row in rows) + RIGHT, 6.4)
    handles = _handles(tasks)
    columns = _legend_columns(handles, width)
    legend = LEGEND_LINE * (-(-len(handles) // columns) - 1)
    height = HEADER + legend + sum(row.height + ABOVE for row in rows) + sum(below)
    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    _header(axes, architecture, title, height)
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.05 / width, 1 - 0.60 / height),
        ncols=columns,
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        handlelength=1.0,
        handleheight=1.0,
        columnspacing=1.2,
    )
    top = height - HEADER - legend
    for row, space in zip(rows, below, strict=True):
        top -= ABOVE + row.height
        _draw_row(axes, row, tasks, names, bottom=top)
        top -= space
    return figure


def _below(row: Row, names: dict[str, str]) -> float:
    """Return the inches that the names of a row's layers take."""
    letters = [len(names[box.block.name]) for box in row.boxes if box.block.name in names]
    return 0.14 + LETTER * max(letters, default=0)


def _header(axes: Axes, architecture: Architecture, title: str | None, height: float) -> None:
    heading = title or " · ".join(short(task, 16) for task in architecture.tasks)
    numbers = f"{counted(architecture.macs)} MACs,  {counted(architecture.params)} parameters"
    axes.text(0.15, height - 0.14, heading, size=13, weight="bold", color=INK, va="top")
    axes.text(0.15, height - 0.42, numbers, size=9.5, color=INK, va="top")


def _handles(tasks: Sequence[str]) -> list[Patch]:
    handles = [Patch(facecolor=task_colour(t, tasks), label=short(t, 24)) for t in tasks]
    if len(tasks) > 1:
        shared = f"shared by {group_name(tasks, tasks)}"
        handles.append(Patch(facecolor=group_colour(tasks, tasks), label=shared))
    return handles


def _legend_columns(handles: Sequence[Patch], width: float) -> int:
    """Return how many entries of the legend stand side by side; a column is as wide as its widest."""
    wide = [0.5 + 0.075 * len(str(handle.get_label())) for handle in handles]
    for columns in range(len(wide), 1, -1):
        rows = -(-len(wide) // columns)
        if sum(max(wide[i : i + rows]) for i in range(0, len(wide), rows)) <= width - 0.2:
            return columns
    return 1


def _draw_row(
    axes: Axes, row: Row, tasks: Sequence[str], names: dict[str, str], *, bottom: float
) -> None:
    for lane in _lanes_of(row):
        colour = group_colour(lane, tasks)
        name = group_name([short(task, 11) for task in lane], tasks)
        label = name.replace(" + ", " +\n")
        axes.text(
            LEFT - 0.12,
            bottom + row.lanes[lane],
            label,
            size=8.5,
            weight="bold",
            color=colour,
            ha="right",
            va="center",
        )
    for band in sorted(row.bands, key=lambda b: b.track is None):
        _draw_band(axes, band, tasks, bottom)
    for box in row.boxes:
        if not box.port:
            _draw_box(axes, box, tasks, bottom)
    _draw_columns(axes, row, names, bottom)


def _lanes_of(row: Row) -> list[tuple[str, ...]]:
    """Return the lanes in which a row has something that is not only passing through."""
    used = {box.block.group for box in row.boxes}
    return [lane for lane in row.lanes if lane in used]


def _draw_box(axes: Axes, box: Box, tasks: Sequence[str], bottom: float) -> None:
    x, y = LEFT + box.x, bottom + box.y
    left, base = x - box.width / 2, y - box.height / 2
    colours = stripes(box.block.group, tasks)
    kind = box.block.kind
    if kind == "output":
        pill = FancyBboxPatch(
            (left + 0.05, base + 0.05),
            box.width - 0.1,
            box.height - 0.1,
            boxstyle="round,pad=0.05",
            facecolor=colours[0],
            edgecolor="none",
            zorder=4,
        )
        axes.add_patch(pill)
        name = short(box.block.label, 9)
        axes.text(
            x, y, name, size=8, weight="bold", color=ink_on(colours[0]), ha="center",
            va="center_baseline", zorder=5,
        )  # fmt: skip
        return
    if kind == "join":
        edge = group_colour(box.block.group, tasks)
        circle = Circle((x, y), box.width / 2, facecolor=PAPER, edgecolor=edge, lw=1.4, zorder=4)
        axes.add_patch(circle)
        sign = box.block.label
        axes.text(x, y, sign, size=9, color=INK, ha="center", va="center_baseline", zorder=5)
        return
    if kind == "input":
        colours = [PAPER]
    part = box.height / len(colours)
    for index, colour in enumerate(reversed(colours)):
        axes.add_patch(
            Rectangle(
                (left, base + index * part), box.width, part, facecolor=colour, lw=0, zorder=3
            )
        )
    axes.add_patch(
        Rectangle((left, base), box.width, box.height, fill=False, edgecolor=INK, lw=0.7, zorder=4)
    )
    _count(axes, box, colours, (x, y))


def _count(axes: Axes, box: Box, colours: list[str], middle: tuple[float, float]) -> None:
    """Write a block's channels inside it, or above it where it is too low."""
    x, y = middle
    inside = box.height >= INSIDE and len(colours) == 1
    size = 7.0 if box.block.channels < 1000 else 5.8
    if inside:
        place, colour, align = y, ink_on(colours[0]), "center_baseline"
    else:
        place, colour, align = y + box.height / 2 + 0.02, INK, "baseline"
    axes.text(
        x, place, str(box.block.channels), size=size, color=colour, ha="center", va=align, zorder=6
    )


def _draw_band(axes: Axes, band: Band, tasks: Sequence[str], bottom: float) -> None:
    colour = group_colour(band.source.block.group, tasks)
    x0 = LEFT + band.source.x + band.source.width / 2
    x1 = LEFT + band.target.x - band.target.width / 2
    y0, y1 = bottom + band.source.y, bottom + sum(band.end) / 2
    half0, half1 = band.start / 2, (band.end[1] - band.end[0]) / 2
    if band.track is None:
        path = _ribbon([(x0, y0, half0), (x1, y1, half1)])
    else:
        y, half = bottom + band.track, band.thickness / 2
        turn = min(0.30, (x1 - x0) / 3)
        half0, half1 = min(half0, half), min(half1, half)
        path = _ribbon(
            [(x0, y0, half0), (x0 + turn, y, half), (x1 - turn, y, half), (x1, y1, half1)]
        )
    fades = band.target.port or band.source.port
    axes.add_patch(
        PathPatch(
            path,
            facecolor=colour,
            alpha=0.22 if fades else 0.34,
            edgecolor=colour,
            lw=0.3,
            zorder=1.5 if band.track is None else 2,
        )
    )


def _ribbon(points: list[tuple[float, float, float]]) -> Path:
    """Return the outline of a smooth band through points (x, y, half of its width)."""
    vertices: list[tuple[float, float]] = []
    codes: list[int] = []
    for sign, line in ((1, points), (-1, points[::-1])):
        x, y, half = line[0]
        vertices.append((x, y + sign * half))
        codes.append(int(Path.LINETO if vertices[1:] else Path.MOVETO))
        for (xa, ya, ha), (xb, yb, hb) in pairwise(line):
            middle = (xa + xb) / 2
            vertices += [
                (middle, ya + sign * ha),
                (middle, yb + sign * hb),
                (xb, yb + sign * hb),
            ]
            codes += [int(Path.CURVE4)] * 3
    vertices.append(vertices[0])
    codes.append(int(Path.CLOSEPOLY))
    return Path(vertices, codes)


def _draw_columns(axes: Axes, row: Row, names: dict[str, str], bottom: float) -> None:
    """Write above each column what its layer does and at which size, below it the layer's name."""
    columns: dict[float, list[Box]] = {}
    for box in row.boxes:
        if not box.port and box.block.kind != "output":
            columns.setdefault(box.x, []).append(box)
    last: tuple[int, ...] | None = None
    for x in sorted(columns):
        blocks = [box.block for box in columns[x]]
        main = next((b for b in blocks if b.kind != "join"), blocks[0])
        if main.kind == "join":
            continue
        top = bottom + row.height
        labels = list(dict.fromkeys(b.label for b in blocks if b.kind != "join"))
        if len(labels) > 1:  # no room for strides, which the sizes tell
            labels = list(dict.fromkeys(label.split()[0] for label in labels))
        axes.text(LEFT + x, top + 0.05, ", ".join(labels), size=6.8, color=INK, ha="center")
        if main.side and main.side != last:
            size = "×".join(str(s) for s in main.side)
            axes.text(LEFT + x, top + 0.19, size, size=6.8, color=FAINT, ha="center", weight="bold")
        last = main.side
        if main.kind == "input":
            continue
        axes.text(
            LEFT + x,
            bottom - GAP / 2,
            together([names[b.name] for b in blocks if b.kind == "filters"]),
            size=6.4,
            color=FAINT,
            rotation=90,
            ha="center",
            va="top",
            linespacing=1.0,
        )
