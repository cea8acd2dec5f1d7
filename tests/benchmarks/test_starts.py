"""What the table of starts is made of: found shares at another width, and rows at one cost."""

from __future__ import annotations

from types import ModuleType

import pytest

from sfg_nas.study import Study, load_study
from tests.scripts import load_script


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return load_script("benchmarks/starts.py")


def small(changes: dict[str, object]) -> Study:
    source = {
        "name": "small",
        "data": {"kind": "planted", "size": 8, "train": 64, "validation": 30, "test": 8},
        "backbone": {"kind": "vgg11", "width": 0.125, "depth": 2},
        "training": {"epochs": 1, "batch_size": 32},
        "search": {"space": {}},
    }
    return load_study(source, changes)  # type: ignore[arg-type]


def test_shares_are_kept_at_another_width(benchmark: ModuleType) -> None:
    narrow = small({"sharing.start.kind": "branched"})
    found = narrow.make_supernet(narrow.config, seed=0).allocation()
    wide = small({"backbone.width": 0.25})
    again = benchmark.like(found)(wide.make_supernet(wide.config, seed=0))
    assert list(found.counts().values()) == [(0, 0, 8), (8, 8, 0)]
    assert list(again.counts().values()) == [(0, 0, 16), (16, 16, 0)]


def test_a_row_is_scored_at_the_common_cost(benchmark: ModuleType) -> None:
    changes, search = benchmark.WAYS["branched in the middle"]
    row = benchmark.scored(small(changes), 0, search=search)
    assert row["macs"] == pytest.approx(benchmark.SHARE, rel=0.15)
    assert {"shared", "found_macs", "counts", "a/mae", "b/rmse"} <= set(row)
