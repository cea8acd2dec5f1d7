from __future__ import annotations

from sfg_nas.report.sketch import sketch
from tests.report.samples import sample, two_tasks


def test_only_filters_joins_and_ends_stay() -> None:
    drawn = sketch(two_tasks())
    kinds = [block.kind for block in drawn.blocks.values()]
    assert kinds.count("input") == 1
    assert kinds.count("filters") == 11 + 2  # convolutions of groups, heads
    assert kinds.count("output") == 2
    assert kinds.count("join") == 0


def test_blocks_say_what_they_are() -> None:
    blocks = sketch(two_tasks()).blocks
    conv = blocks["backbone.features.3@gender"]
    assert (conv.channels, conv.label, conv.side) == (22, "3×3", (16, 16))
    assert conv.group == ("gender",)
    assert blocks["heads.age@age"].label == "fc"
    assert blocks["output@age"].label == "age"


def test_flows_follow_the_reading_rule() -> None:
    flows = {(f.source, f.target): f.channels for f in sketch(two_tasks()).flows}
    into = {
        source: n for (source, target), n in flows.items() if target == "backbone.features.3@age"
    }
    assert into == {"backbone.features.2@age": 14, "backbone.features.2@age+gender": 40}
    shared = [s for s, target in flows if target == "backbone.features.3@age+gender"]
    assert shared == ["backbone.features.2@age+gender"]


def test_columns_are_the_layers_and_outputs_are_last() -> None:
    blocks = sketch(two_tasks()).blocks
    assert [blocks[f"backbone.features.{i}@age"].column for i in (1, 2, 3, 4)] == [2, 3, 4, 5]
    assert blocks["heads.age@age"].column == blocks["heads.gender@gender"].column == 6
    assert blocks["output@age"].column == blocks["output@gender"].column == 7


def test_additions_are_joins() -> None:
    layers = [{"a+b": 4, "a": 2}, {"a+b": 4, "a": 2}, {"a+b": 4, "a": 2}, {"a+b": 4, "a": 2}]
    drawn = sketch(sample(("a", "b"), layers, residual=True))
    joins = {n: b for n, b in drawn.blocks.items() if b.kind == "join"}
    assert set(joins) == {"add_1@a+b", "add_1@a", "add_3@a+b", "add_3@a"}
    assert {b.label for b in joins.values()} == {"+"}
    sources = {f.source for f in drawn.flows if f.target == "add_3@a"}
    assert sources == {"backbone.features.3@a", "add_1@a"}


def test_strides_are_written() -> None:
    architecture = two_tasks()
    graph = architecture.graph.copy()
    graph.nodes["backbone.features.0@age+gender"]["settings"] = {"stride": [2, 2]}
    label = sketch(type(architecture)(graph)).blocks["backbone.features.0@age+gender"].label
    assert label == "3×3 /2"
