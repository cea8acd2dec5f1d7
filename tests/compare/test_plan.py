from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sfg_nas.compare import Setting, compare
from sfg_nas.compare.methods import make
from sfg_nas.compare.plain import study_macs
from sfg_nas.compare.plan import rates, twin_of
from sfg_nas.study import RunFiles, Study

Make = Callable[..., Study]
LEARNS = {
    "backbone.width": 4.0,
    "sharing.start": {"kind": "branched", "split": 0, "confidence": 0.95},
}


@pytest.mark.parametrize(
    ("trials", "wanted"),
    [(1, [0.01]), (2, [0.01 / 2, 0.02]), (3, [0.0025, 0.01, 0.04])],
)
def test_rates_lie_evenly_around_the_middle(
    make_study: Make, tmp_path: Path, trials: int, wanted: list[float]
) -> None:
    study = make_study({"compare.tuning_trials": trials, "compare.tuning_factor": 4.0})
    assert rates(Setting(study, RunFiles(tmp_path))) == pytest.approx(wanted, rel=1e-3)


def test_a_twin_costs_what_hard_sharing_costs_and_is_kept(make_study: Make, tmp_path: Path) -> None:
    setting = Setting(make_study({"backbone.width": 4.0}), RunFiles(tmp_path))
    reference = study_macs(setting.study)
    entrant = make(setting, "constant-mask")
    twin = twin_of(setting, entrant, 0, reference)
    assert twin.factor is not None
    assert twin.factor > 1
    assert entrant.macs is not None
    assert entrant.macs(twin.factor, 0) == pytest.approx(reference, rel=0.05)
    assert twin_of(setting, entrant, 0, reference) == twin
    assert (tmp_path / "compared/constant-mask/width-all.json").exists()
    assert twin_of(setting, make(setting, "hard-sharing"), 0, reference).same
    assert twin_of(setting, make(setting, "sfg-corrected"), 0, reference).factor is None


def test_what_learns_its_network_has_a_twin_once_it_is_trained(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study(LEARNS)
    found = compare(study, ["sfg-corrected"], 1, runs=tmp_path).networks
    setting = Setting(study, RunFiles(tmp_path / "tiny"))
    reference, entrant = study_macs(study), make(setting, "sfg-corrected")
    own = found[(found["scale"] == "own") & (found["method"] == "sfg-corrected (hard)")].iloc[0]
    twin = twin_of(setting, entrant, 0, reference)
    assert twin.factor is not None
    assert twin.factor == pytest.approx((reference / own["macs"]) ** 0.5, rel=0.1)
    folder = tmp_path / "tiny/compared/sfg-corrected/equal-macs/0"
    assert json.loads((folder / "metrics.json").read_text())["identity"]["factor"] == twin.factor
    equal = found[(found["scale"] == "equal-macs") & found["method"].str.startswith("sfg")]
    # two epochs barely move the start, so that what it learned at that width costs about as much
    assert list(equal["method"]) == ["sfg-corrected (hard)"]
    assert float(equal["macs"].iloc[0]) == pytest.approx(reference, rel=0.1)
