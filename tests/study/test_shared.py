"""A found network that shares everything is hard sharing, and retrain says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from sfg_nas.study import Study, all_shared, retrain, search, shares_everything, trunk

Make = Callable[..., Study]


def test_retrain_marks_what_is_the_found_network_itself(make_study: Make, tmp_path: Path) -> None:
    study = make_study({"sharing.start": {"kind": "near-shared", "confidence": 0.99}})
    run = search(study, runs=tmp_path, trials=1)
    found = run.best.architecture
    assert shares_everything(found)
    assert trunk(found) == trunk(all_shared(study))
    retrain(study, found, 2, runs=tmp_path)
    paired = pd.read_csv(run.path / "retrained" / "paired.csv")
    same = paired.groupby("against")["same_network"].all()
    assert same.to_dict() == {"hard-sharing": True, "single-task": False}


def test_a_network_of_groups_is_none(make_study: Make, tmp_path: Path) -> None:
    study = make_study({"sharing.start": {"kind": "branched", "split": 1, "confidence": 0.99}})
    run = search(study, runs=tmp_path, trials=1)
    assert not shares_everything(run.best.architecture)
    retrain(study, run.best.architecture, 1, runs=tmp_path)
    paired = pd.read_csv(run.path / "retrained" / "paired.csv")
    assert not paired["same_network"].any()
