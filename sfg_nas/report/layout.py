"""Where everything of a drawing goes, in inches: rows, lanes, tracks, boxes.

A lane is a horizontal strip for one group. The strip's middle is its axis, where the blocks sit;
above it run tracks, for what passes by (a shortcut) and for a second block of the same column. A
long network is folded into rows; what crosses a fold leaves one row through a port and enters the
next through another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sfg_nas.report.sketch import Block, Flow, Sketch

TALLEST = 0.95  # inches of the block with the most channels
LEAST = 0.08  # inches of the smallest block
JOIN = 0.17  # diameter of a join
BOX = 0.24  # width of a block
PITCH = 0.50  # from one column of blocks to the next
NARROW = 0.33  # the same where a column holds joins only
PORT = 0.30
GAP = 0.10  # above and below what is in a lane
SKIP = 0.4  # what passes by is drawn thinner by this factor
OUTPUT_WIDTH = 0.78


@dataclass(frozen=True)
class Box:
    """A placed block.

    Attributes:
        block: What it is.
        x: Middle, inches from the left.
        y: Middle, inches from the bottom of its row.
        width: Inches.
        height: Inches.
        port: Whether it only stands for a block of another row.
    """

    block: Block
    x: float
    y: float
    width: float
    height: float
    port: bool = False


@dataclass(frozen=True)
class Band:
    """A placed flow.

    Attributes:
        source: Where it starts.
        target: Where it ends.
        start: Height in inches at the source.
        end: Lower and upper edge at the target, inches from the bottom of the row.
        track: Height in the row at which it passes by others, or None between neighbours.
        thickness: Inches on the track.
    """

    source: Box
    target: Box
    start: float
    end: tuple[float, float]
    track: float | None
    thickness: float


@dataclass(frozen=True)
class Row:
    """One row of a drawing: boxes, bands, and the middle of each lane."""

    boxes: tuple[Box, ...]
    bands: tuple[Band, ...]
    lanes: dict[tuple[str, ...], float]
    width: float
    height: float


@dataclass
class _Lane:
    """Heights of a lane while it is laid out."""

    half: float = LEAST / 2
    tracks: list[float] | None = None
    axis: float = 0.0


def lanes_of(drawn: Sketch, tasks: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the groups that have blocks from top to bottom, each between the tasks it serves."""
    groups = {block.group for block in drawn.blocks.values()}
    place = {task: index for index, task in enumerate(tasks)}

    def middle(group: tuple[str, ...]) -> tuple[float, int, tuple[int, ...]]:
        indices = tuple(place[task] for task in group)
        return sum(indices) / len(indices), -len(indices), indices

    return sorted(groups, key=middle)


def lay_out(drawn: Sketch, tasks: Sequence[str], *, columns_per_row: int) -> list[Row]:
    """Return the rows of a drawing.

    Args:
        drawn: What to draw.
        tasks: All tasks in order.
        columns_per_row: Columns after which the drawing is folded, at least 2.
    """
    lanes = lanes_of(drawn, tasks)
    most = max(block.channels for block in drawn.blocks.values())
    return [
        _row(blocks, flows, ports, lanes, most)
        for blocks, flows, ports in _fold(drawn, columns_per_row)
    ]


def _height(block: Block, most: int) -> float:
    if block.kind == "join":
        return JOIN
    if block.kind == "output":
        return 0.24
    return max(LEAST, TALLEST * block.channels / most)


def _fold(
    drawn: Sketch, columns_per_row: int
) -> list[tuple[list[Block], list[Flow], dict[str, int]]]:
    """Return blocks, flows and ports (name -> age in columns, 0 for none) of each row."""
    count = 1 + max(block.column for block in drawn.blocks.values())
    rows = -(-count // columns_per_row)
    length = -(-count // rows)
    row_of = {name: block.column // length for name, block in drawn.blocks.items()}
    blocks: list[list[Block]] = [[] for _ in range(rows)]
    flows: list[list[Flow]] = [[] for _ in range(rows)]
    ports: list[dict[str, int]] = [{} for _ in range(rows)]
    for name, block in drawn.blocks.items():
        blocks[row_of[name]].append(block)
    crossing: dict[tuple[str, int], int] = {}
    for flow in drawn.flows:
        first, last = row_of[flow.source], row_of[flow.target]
        for row in range(first, last):
            key = (flow.source, row)
            crossing[key] = max(crossing.get(key, 0), flow.channels)
        source = flow.source if first == last else f"{flow.source}>{last}"
        flows[last].append(replace(flow, source=source))
    for (name, row), channels in sorted(crossing.items(), key=lambda item: item[0][1]):
        block = drawn.blocks[name]
        age = (row + 1) * length - block.column
        source = name if row == row_of[name] else f"{name}>{row}"
        leaves, enters = f"{name}<{row}", f"{name}>{row + 1}"
        blocks[row].append(replace(block, name=leaves, column=(row + 1) * length))
        blocks[row + 1].append(replace(block, name=enters, column=(row + 1) * length - 1))
        flows[row].append(Flow(source, leaves, channels))
        ports[row][leaves] = age
        ports[row + 1][enters] = age
    return list(zip(blocks, flows, ports, strict=True))


def _row(
    blocks: list[Block],
    flows: list[Flow],
    ports: dict[str, int],
    lanes: list[tuple[str, ...]],
    most: int,
) -> Row:
    centres, width = _columns(blocks, ports)
    heights = {block.name: _height(block, most) for block in blocks}
    column = {block.name: block.column for block in blocks}
    group = {block.name: block.group for block in blocks}
    shape = {lane: _Lane(tracks=[]) for lane in lanes}
    cells: dict[tuple[int, tuple[str, ...]], list[Block]] = defaultdict(list)
    for block in sorted(blocks, key=lambda b: ports.get(b.name, 0)):
        cells[block.column, block.group].append(block)
    passing: list[tuple[int, int, tuple[str, ...], float, str]] = []
    for (place, lane), here in cells.items():
        shape[lane].half = max(shape[lane].half, heights[here[0].name] / 2)
        passing += [(place, place, lane, heights[b.name], b.name) for b in here[1:]]
    for index, flow in enumerate(flows):
        first, last, lane = column[flow.source] + 1, column[flow.target] - 1, group[flow.source]
        if any((place, lane) in cells for place in range(first, last + 1)):
            thick = max(0.03, SKIP * TALLEST * flow.channels / most)
            passing.append((first, last, lane, thick, f"flow {index}"))
    track_of = _assign_tracks(passing, shape)
    height = _stack(lanes, shape)
    boxes = {
        block.name: Box(
            block,
            centres[block.column],
            _track_middle(shape[block.group], track_of.get(block.name)),
            _width(block, ports),
            heights[block.name],
            port=block.name in ports,
        )
        for block in blocks
    }
    tracks = {
        index: _track_middle(shape[group[flow.source]], track_of[f"flow {index}"])
        for index, flow in enumerate(flows)
        if f"flow {index}" in track_of
    }
    bands = _bands(boxes, flows, tracks, most)
    return Row(tuple(boxes.values()), bands, {g: s.axis for g, s in shape.items()}, width, height)


def _width(block: Block, ports: dict[str, int]) -> float:
    if block.name in ports:
        return 0.0
    return {"join": JOIN, "output": OUTPUT_WIDTH}.get(block.kind, BOX)


def _columns(blocks: list[Block], ports: dict[str, int]) -> tuple[dict[int, float], float]:
    """Return the middle of each column and the width of the row."""
    pitch: dict[int, float] = {}
    for block in blocks:
        wide = {"join": NARROW, "output": OUTPUT_WIDTH + 0.3}.get(block.kind, PITCH)
        wide = PORT if block.name in ports else wide
        pitch[block.column] = max(wide, pitch.get(block.column, 0.0))
    centres, x = {}, 0.0
    for place in sorted(pitch):
        centres[place] = x + pitch[place] / 2
        x += pitch[place]
    return centres, x


def _assign_tracks(
    passing: list[tuple[int, int, tuple[str, ...], float, str]],
    shape: dict[tuple[str, ...], _Lane],
) -> dict[str, int]:
    """Give what passes by in a lane the lowest track that is free over its columns."""
    taken: dict[tuple[tuple[str, ...], int], list[tuple[int, int]]] = defaultdict(list)
    found = {}
    for first, last, lane, thick, name in sorted(passing):
        track = 0
        while any(first <= b and a <= last for a, b in taken[lane, track]):
            track += 1
        taken[lane, track].append((first, last))
        tracks = shape[lane].tracks
        assert tracks is not None
        tracks += [0.0] * (track + 1 - len(tracks))
        tracks[track] = max(tracks[track], thick)
        found[name] = track
    return found


def _stack(lanes: list[tuple[str, ...]], shape: dict[tuple[str, ...], _Lane]) -> float:
    """Place the lanes from the bottom up, the first on top; return the height of all."""
    y = 0.0
    for lane in reversed(lanes):
        here = shape[lane]
        here.axis = y + GAP + here.half
        y = here.axis + here.half + sum(t + GAP for t in here.tracks or []) + GAP
    return y


def _track_middle(lane: _Lane, track: int | None) -> float:
    if track is None:
        return lane.axis
    tracks = lane.tracks or []
    return lane.axis + lane.half + sum(t + GAP for t in tracks[:track]) + GAP + tracks[track] / 2


def _bands(
    boxes: dict[str, Box], flows: list[Flow], tracks: dict[int, float], most: int
) -> tuple[Band, ...]:
    """Give each flow its part of its target's left side, from the bottom up as they arrive."""
    arriving: dict[str, list[int]] = defaultdict(list)
    for index, flow in enumerate(flows):
        arriving[flow.target].append(index)
    bands: dict[int, Band] = {}
    for name, indices in arriving.items():
        target = boxes[name]
        total = sum(flows[i].channels for i in indices) or 1
        tall = target.height * (0.7 if target.block.kind == "output" else 1.0)
        edge = target.y - tall / 2
        for i in sorted(indices, key=lambda j: tracks.get(j, boxes[flows[j].source].y)):
            flow, source = flows[i], boxes[flows[i].source]
            part = tall * flow.channels / total
            start = min(source.height, max(0.02, TALLEST * flow.channels / most))
            thickness = max(0.03, SKIP * TALLEST * flow.channels / most)
            bands[i] = Band(source, target, start, (edge, edge + part), tracks.get(i), thickness)
            edge += part
    return tuple(bands[i] for i in sorted(bands))
