from __future__ import annotations

import itertools

import pytest

from sfg_nas.architecture import Architecture
from sfg_nas.report.layout import Box, Row, lanes_of, lay_out
from sfg_nas.report.sketch import sketch
from tests.report.samples import sample, two_tasks


def residual() -> Architecture:
    layers = [{"a+b": 8 + i // 2, "a": 4, "b": 2} for i in range(8)]
    return sample(("a", "b"), layers, residual=True)


def overlap(one: Box, other: Box) -> bool:
    across = abs(one.x - other.x) < (one.width + other.width) / 2
    return across and abs(one.y - other.y) < (one.height + other.height) / 2


def rows_of(architecture: Architecture, columns: int = 100) -> list[Row]:
    return lay_out(sketch(architecture), architecture.tasks, columns_per_row=columns)


def test_lanes_put_what_is_shared_between() -> None:
    layers = [{"a": 1, "b": 1, "c": 1, "a+b": 1, "a+c": 1, "b+c": 1, "a+b+c": 1}]
    lanes = lanes_of(sketch(sample(("a", "b", "c"), layers)), ("a", "b", "c"))
    assert ["".join(lane) for lane in lanes] == ["a", "ab", "abc", "ac", "b", "bc", "c"]


@pytest.mark.parametrize("columns", [100, 4, 2])
@pytest.mark.parametrize("make", [two_tasks, residual])
def test_boxes_do_not_overlap_and_stay_inside(make: object, columns: int) -> None:
    assert callable(make)
    for row in rows_of(make(), columns):
        for one, other in itertools.combinations(row.boxes, 2):
            assert not overlap(one, other)
        for box in row.boxes:
            assert box.x - box.width / 2 >= 0
            assert box.x + box.width / 2 <= row.width
            assert box.y - box.height / 2 >= 0
            assert box.y + box.height / 2 <= row.height


def test_heights_follow_channels() -> None:
    boxes = {b.block.name: b for b in rows_of(two_tasks())[0].boxes}
    big, small = boxes["backbone.features.2@age+gender"], boxes["backbone.features.3@age+gender"]
    assert big.height / small.height == pytest.approx(40 / 12)


def test_bands_fill_the_side_of_what_reads_them() -> None:
    row = rows_of(two_tasks())[0]
    for box in row.boxes:
        ends = sorted(b.end for b in row.bands if b.target is box)
        if not ends or box.block.kind == "output":
            continue
        assert ends[0][0] == pytest.approx(box.y - box.height / 2)
        assert ends[-1][1] == pytest.approx(box.y + box.height / 2)
        assert all(a[1] == pytest.approx(b[0]) for a, b in itertools.pairwise(ends))


def test_shortcuts_pass_above_the_boxes_of_their_lane() -> None:
    row = rows_of(residual())[0]
    passing = [band for band in row.bands if band.track is not None]
    assert passing
    for band in passing:
        assert band.track is not None
        lane = [b for b in row.boxes if b.block.group == band.source.block.group]
        between = [b for b in lane if band.source.x < b.x < band.target.x]
        assert between
        assert all(b.y + b.height / 2 < band.track - band.thickness / 2 for b in between)


@pytest.mark.parametrize("columns", [2, 3, 5])
@pytest.mark.parametrize("make", [two_tasks, residual])
def test_folding_keeps_every_block_and_flow(make: object, columns: int) -> None:
    assert callable(make)
    drawn = sketch(make())
    rows = rows_of(make(), columns)
    count = 1 + max(block.column for block in drawn.blocks.values())
    assert len(rows) == -(-count // columns)
    names = [b.block.name for row in rows for b in row.boxes if not b.port]
    assert sorted(names) == sorted(drawn.blocks)
    # Follow the ports: each block reads what it read before the fold.
    read = set()
    for row in rows:
        for band in row.bands:
            if not band.target.port:
                read.add((band.source.block.name.partition(">")[0], band.target.block.name))
    assert read == {(f.source, f.target) for f in drawn.flows}
