"""Fixed networks as methods of a comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from sfg_nas.compare.allocated import hard_at_found
from sfg_nas.compare.entrant import Setting
from sfg_nas.compare.plain import study_macs
from sfg_nas.study import RunFiles, Study, Trial

Make = Callable[..., Study]


@pytest.mark.parametrize(("share", "note"), [(1.0, False), (0.99, False), (1.06, True)])
def test_hard_sharing_that_comes_only_near_the_found_cost_says_so(
    make_study: Make, tmp_path: Path, share: float, note: bool
) -> None:
    study = make_study()
    macs = round(share * study_macs(study))
    found = cast(Trial, SimpleNamespace(architecture=SimpleNamespace(macs=macs)))
    entrant = hard_at_found(Setting(study, RunFiles(tmp_path), found))
    said = "costs 0.94 of what the found network costs: no width comes nearer"
    assert entrant.note == (said if note else "")
