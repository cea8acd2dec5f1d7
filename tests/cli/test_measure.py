from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path


def retrained(runs: Path) -> Path:
    return next((runs / "small/retrained").glob("*/0/architecture.json")).parent


def test_evaluate_finds_what_retraining_noted(call: Callable, runs: Path) -> None:
    folder = retrained(runs)
    noted = json.loads((folder / "metrics.json").read_text())
    for part in ("validation", "test"):
        answer = call("evaluate", folder, "--split", part, "--json", "--device", "cpu")
        assert answer.code == 0
        said = json.loads(answer.out)
        assert (said["part"], said["images"]) == (part, 48)
        for name, value in noted[part].items():
            assert abs(said[name] - value) < 1e-5


def test_evaluate_prints_a_table(call: Callable, runs: Path) -> None:
    answer = call("evaluate", retrained(runs) / "network.safetensors", "--device", "cpu")
    assert answer.code == 0
    assert "left/accuracy" in answer.out


def test_what_is_no_network(call: Callable, runs: Path, tmp_path: Path) -> None:
    for path in (tmp_path, runs, tmp_path / "none"):
        answer = call("evaluate", path)
        assert answer.code == 2
        assert "architecture.json" in answer.err


def test_a_network_outside_a_run_needs_its_study(
    call: Callable, runs: Path, tmp_path: Path
) -> None:
    for name in ("architecture.json", "network.safetensors"):
        (tmp_path / name).write_bytes((retrained(runs) / name).read_bytes())
    answer = call("evaluate", tmp_path)
    assert answer.code == 2
    assert "--study" in answer.err
    study = runs / "small/study.yaml"
    assert call("evaluate", tmp_path, "--study", study, "--device", "cpu").code == 0
