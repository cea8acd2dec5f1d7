"""What the table of searches with learned filters says: gains at a cost, by hand, and against what is committed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.scripts import ROOT, load_script

TASKS = ["a/mae", "b/mae"]


def test_gains_are_read_off_at_the_cost_of_what_was_found() -> None:
    module = load_script("benchmarks/planted_dial.py")
    place = {"relatedness": 1.0, "seed": 3}
    way = dict(zip(module.KEYS, module.WAYS[0], strict=True))
    lost = dict(zip(module.KEYS, module.WAYS[1], strict=True))
    # An error that falls with the square root of the MACs is a line in logarithms: 0.2 and 0.1 at 0.25, at 0.5 less.
    rows: list[dict[str, object]] = [
        {"kind": kind, "macs": macs, "a/mae": 0.1 * f / macs**0.5, "b/mae": 0.05 * f / macs**0.5}
        | place
        for kind, f in (("random", 1.0), ("oracle", 0.8))
        for macs in (0.5, 0.7, 1.0)
    ]
    found_row = {"kind": "found", "macs": 0.25, "shared": 0.4, "b/mae": 0.1} | place | way
    rows += [found_row | {"a/mae": error} for error in (0.14, 0.16)]  # two retrainings
    rows.append({"kind": "found", "shared": 0.1} | place | lost)
    gains = module.gains(pd.DataFrame(rows), TASKS).set_index("sharing.lambda3")
    found = gains.loc[way["sharing.lambda3"]]
    assert found["found"] == pytest.approx((0.25 + 0.0) / 2)
    assert found["oracle"] == pytest.approx(0.2)
    assert (found["shared"], found["macs"]) == (0.4, 0.25)
    assert pd.isna(gains.loc[lost["sharing.lambda3"], "found"])


def test_the_documented_table_is_the_committed_one() -> None:
    module = load_script("benchmarks/planted_dial.py")
    rows = pd.read_csv(ROOT / "studies/results/planted_dial.csv")
    tasks = [name for name in rows if name.endswith("/mae")]
    table = module.as_markdown(module.gains(rows, tasks))
    assert table in Path(ROOT / "docs/defaults.md").read_text(encoding="utf-8")
