from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from sfg_nas.data import write_phantoms
from tests.cli.test_predict_volumes import write_network


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


def test_evaluate_warns_where_the_data_have_changed(
    call: Callable, runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(runs / "small", tmp_path / "small")
    folder = retrained(tmp_path)
    assert "warning" not in call("evaluate", folder, "--device", "cpu").err
    study = tmp_path / "small/study.yaml"
    study.write_text(study.read_text().replace("data_fingerprint: ", "data_fingerprint: 0"))
    answer = call("evaluate", folder, "--device", "cpu")
    assert answer.code == 0
    assert "warning: the data are others than those of the run" in answer.err


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


def test_a_study_of_other_images_is_refused_and_of_another_size_warned_of(
    call: Callable, runs: Path, tmp_path: Path
) -> None:
    folder, own = retrained(runs), (runs / "small/study.yaml").read_text()
    other = tmp_path / "other.yaml"
    other.write_text(
        "name: other\ndata: {kind: planted, train: 32, validation: 16, test: 16}\n"
        "backbone: {kind: vgg11, width: 0.0625, depth: 3}\n"
    )
    answer = call("evaluate", folder, "--study", other, "--device", "cpu")
    assert answer.code == 2
    assert (
        f"{folder}: it must be one for the images and tasks of other; found images of" in answer.err
    )
    answer = call("retrain", folder / "architecture.json", "--study", other, "--device", "cpu")
    assert answer.code == 2
    assert "architecture: it must be one for the images and tasks of other" in answer.err
    assert "size: null" in own
    other.write_text(own.replace("size: null", "size: 24"))
    answer = call("evaluate", folder, "--study", other, "--device", "cpu")
    assert answer.code == 0, answer.err
    assert "warning: the network was built for another size of images than these" in answer.err


def test_all_windows_of_training_volumes_are_scored_and_counted(
    call: Callable, tmp_path: Path
) -> None:
    network = write_network(tmp_path / "network", (16, 16), (12.0, 12.0, 18.0))
    write_phantoms(tmp_path / "volumes", 4, size=32)
    study = {
        "name": "scans",
        "data": {
            "kind": "volumes",
            "organs": {"bone": 1, "bladder": 3},
            "spacing": [12, 12, 18],
            "patch": [16, 16],
            "patches": 5,
            "folds": 2,
            "validation": 1,
        },
        "backbone": {"kind": "highresnet"},
    }
    (tmp_path / "scans.yaml").write_text(json.dumps(study), encoding="utf-8")
    (tmp_path / "volumes" / "phantom-01" / "ct.nii.gz").unlink()
    checked = ("validate", tmp_path / "scans.yaml", "--data", "--data-root", tmp_path)
    said = json.loads(call(*checked, "--json").out)["data"]
    assert said["subjects"] == {"train": 1, "validation": 1, "test": 2}
    with_labels = {row["task"]: [row[part] for part in said["subjects"]] for row in said["tasks"]}
    assert sum(with_labels["ct"]) == 3
    assert with_labels["organs"] == [1, 1, 2]
    plain = call(*checked)
    assert "subjects: 1 train, 1 validation, 2 test" in plain.out
    assert "patches: 5 train" in plain.out
    assert "images" not in plain.out
    place = ("--study", tmp_path / "scans.yaml", "--data-root", tmp_path, "--device", "cpu")
    counted = {
        part: json.loads(call("evaluate", network, "--split", part, "--json", *place).out)["images"]
        for part in ("train", "validation")
    }
    assert counted["train"] == counted["validation"] > 5  # a subject each
