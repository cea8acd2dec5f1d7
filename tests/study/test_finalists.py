from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from sfg_nas.errors import ArchitectureError
from sfg_nas.study.finalists import Finalist, Finals, load_finals
from sfg_nas.study.layout import RunFiles

ALONE = Finalist(3, "ab", 900, (0.02, 0.04))
BESIDE = Finalist(5, "cd", 500, (0.01, 0.02), (-0.02, -0.02), -0.5)
EXPECTED = Finalist(6, "ef", 100, (-0.01, -0.03), (), -0.05)
FINALS = Finals(8, (ALONE, BESIDE, EXPECTED), {"7": "the loss is not finite"})


def test_what_decides_is_delta_or_its_difference_to_hard_sharing() -> None:
    assert ALONE.scores == (0.02, 0.04)
    assert BESIDE.scores == pytest.approx((0.03, 0.04))  # the pair, not the curve
    assert EXPECTED.scores == pytest.approx((0.04, 0.02))
    assert BESIDE.score == pytest.approx(0.035)


def test_of_equals_the_cheaper_one_is_first() -> None:
    assert [one.trial for one in FINALS.ranked()] == [5, 6, 3]
    text = "trial 5 +0.0350 ± 0.0071, trial 6 +0.0300 ± 0.0141, trial 3 +0.0300 ± 0.0141"
    assert FINALS.in_words() == f"{text}, trial 7 failed"
    assert Finals(1, (Finalist(0, "a", 1, (0.5,)),), {}).in_words() == "trial 0 +0.5000"
    assert Finals(1, (), {}).in_words() == "nobody took part"


def test_it_is_stored_and_read_back(tmp_path: Path) -> None:
    files = RunFiles(tmp_path)
    assert load_finals(files) is None
    FINALS.save(files)
    assert load_finals(files) == FINALS


@pytest.mark.parametrize(
    "change",
    [
        {"deltas": []},
        {"deltas": [math.inf]},
        {"deltas": [10**400]},
        {"expected": 10**400},
        {"deltas": 0.1},
        {"beside": [0.1]},
        {"beside": "none"},
        {"trial": -1},
        {"macs": 0.5},
        {"architecture": None},
        {"expected": "much"},
        {"more": 1},
    ],
)
def test_a_damaged_file_is_said(tmp_path: Path, change: dict[str, Any]) -> None:
    files = RunFiles(tmp_path)
    FINALS.save(files)
    content = json.loads(files.finals.read_text())
    content["finalists"][1] |= change
    files.finals.write_text(json.dumps(content))
    with pytest.raises(ArchitectureError, match=r"finals\.json"):
        load_finals(files)
