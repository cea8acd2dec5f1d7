from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sfg_nas.architecture import Architecture
from sfg_nas.cli.distill import distill_changes
from sfg_nas.errors import ConfigError
from sfg_nas.study import Run


def test_words_become_values() -> None:
    found = distill_changes("layers, budget=0.6, params")
    assert {key.removeprefix("distill."): value for key, value in found.items()} == {
        "rule": "budget",
        "granularity": "layers",
        "threshold": None,
        "budget": 0.6,
        "unit": "params",
    }
    assert distill_changes("threshold=0.7")["distill.rule"] == "threshold"
    assert distill_changes(None) == {}
    for wrong in ("layer", "depth=3", "layers,blocks", "budget=1,budget=2", ""):
        with pytest.raises(ConfigError, match="--distill"):
            distill_changes(wrong)


def test_another_choice_is_exported_and_retrained(
    call: Callable, runs: Path, tmp_path: Path
) -> None:
    first = call(
        "export", runs / "small", "--to", tmp_path, "--format", "json,safetensors",
        "--distill", "layers", "--device", "cpu",
    )  # fmt: skip
    assert first.code == 0, first.err
    found = Architecture.load(tmp_path / "architecture.json")
    for _, nodes in found.layers():
        assert set(nodes) in ({"small", "bright"}, {"+".join(found.tasks)}, set(found.tasks)) or (
            len(nodes) == 1  # a head
        )
    again = call(
        "retrain", "small", "--runs", runs, "--distill", "layers", "--seeds", "1", "--json", "-q",
        "--device", "cpu",
    )  # fmt: skip
    assert again.code == 0, again.err
    run = Run.load(runs / "small")
    (other,) = run.best.distilled
    assert other.architecture == found
    assert other.ledger.retrained is not None
    shown = call("status", runs / "small", "--json")
    rows = {row["choice"]: row for row in json.loads(shown.out)["choices"] if "retrained" in row}
    assert set(rows["layers-argmax"]) >= {"relaxed", "hard", "recalibrated", "fixed", "retrained"}
    assert "layers-argmax" in call("status", runs / "small").out


def test_a_choice_needs_a_run_and_values_that_fit(
    call: Callable, runs: Path, tmp_path: Path
) -> None:
    path = runs / "small/trials/0/architecture.json"
    for arguments, part in (
        (["export", path, "--to", tmp_path, "--distill", "layers"], "a run is needed"),
        (["retrain", path, "--distill", "layers"], "a run is needed"),
        (["export", runs / "small", "--to", tmp_path, "--distill", "budget"], "needs one"),
        (["export", path, "--to", tmp_path, "--trial", "1"], "--trial: a run is needed"),
        (["retrain", path, "--trial", "1"], "--trial: a run is needed"),
        (
            ["retrain", "small", "--runs", runs, "--distill", "threshold=2"],
            "error: --distill: distill.threshold: a value of at most 1",
        ),
        (["export", runs / "small", "--to", tmp_path, "--distill", "layrs"], "did you mean"),
        (
            ["export", runs / "small", "--to", tmp_path, "--distill", "macs=0.6"],
            "write budget=0.6,macs",
        ),
    ):
        answer = call(*arguments)
        assert answer.code == 2
        assert part in answer.err
