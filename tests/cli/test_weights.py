"""Which weights an export takes, and how they are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sfg_nas.cli.options import Common
from sfg_nas.cli.weights import choose
from sfg_nas.errors import ConfigError


def test_a_trial_has_its_own_weights_and_those_of_its_retraining(runs: Path) -> None:
    common = Common(runs=runs)
    (own,) = choose("small", "0", None, common)
    assert own.weights == runs / "small/trials/0/network.safetensors"
    assert "trial 0" in own.origin
    assert "not retrained" in own.origin
    own.network()
    retrained = [
        json.loads(path.read_text())["name"]
        for path in (runs / "small/retrained").glob("*/0/metrics.json")
    ]
    for number in ("0", "1"):
        (trial,) = choose("small", number, None, common)
        if trial.architecture.hash in retrained:
            (found,) = choose("small", number, "retrained", common)
            assert found.weights is not None
            assert found.weights.parent.name == "0"
            found.network()
        else:
            with pytest.raises(ConfigError, match="sfg-nas retrain"):
                choose("small", number, "retrained", common)


def test_the_front_has_a_folder_for_each_trial(runs: Path) -> None:
    found = choose("small", "pareto", None, Common(runs=runs))
    assert found
    assert all(item.folder.name.startswith("trial-") for item in found)
