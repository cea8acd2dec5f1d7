from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sfg_nas.data import ImageSet, Preparation, load_data
from sfg_nas.errors import DataError
from sfg_nas.tasks import Encoding


@pytest.fixture(scope="module")
def preparation() -> Preparation:
    return Preparation.of(load_data("digits", train=64, validation=16, test=16))


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_it_comes_back_from_its_file(preparation: Preparation, tmp_path: Path) -> None:
    path = written(tmp_path / "prediction.json", preparation.to_json())
    assert Preparation.load(path) == preparation
    assert preparation.tasks[2].scale > 1


def test_encodings_come_back_too(preparation: Preparation, tmp_path: Path) -> None:
    encodings = {"sum": Encoding(missing=(0, "#ff8000"), factor=0.5), "left": Encoding()}
    own = replace(preparation, encodings=encodings)
    path = written(tmp_path / "prediction.json", own.to_json())
    assert Preparation.load(path) == own


def test_images_are_normalised_as_in_training(preparation: Preparation) -> None:
    data = load_data("digits", train=64, validation=16, test=16)
    rows = data.test.images[data.test.indices]
    (wanted, _), *_ = data.test.batches(16)
    (found, labels), *_ = preparation.image_set(np.asarray(rows)).batches(16)
    assert torch.equal(wanted, found)
    assert set(labels["left"].tolist()) == {-1}
    assert all(math.isnan(value) for value in labels["sum"].tolist())


def test_unseen_images_are_whitened_as_in_training(tmp_path: Path) -> None:
    data = load_data("digits", train=64, validation=16, test=16).whitened()
    preparation = Preparation.load(
        written(tmp_path / "prediction.json", Preparation.of(data).to_json())
    )
    assert isinstance(data.test, ImageSet)
    (wanted, _), *_ = data.test.batches(16)
    (found, _), *_ = preparation.image_set(data.test.images[data.test.indices]).batches(16)  # type: ignore[arg-type]
    assert torch.equal(wanted, found)


def test_only_some_tasks(preparation: Preparation) -> None:
    assert [task.name for task in preparation.only(["sum", "left"])] == ["sum", "left"]
    with pytest.raises(DataError, match="nothing about age"):
        preparation.only(["age"])


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"shape": [1, 65536, 65536]},
        {"shape": [1, -16, 16]},
        {"shape": [True, 16, 16]},
        {"mean": [0.0, 1.0]},
        {"std": [0.0]},
        {"std": ["1"]},
        {"mean": [1e400]},
        {"pixels": "object"},
        {"tasks": []},
        {"tasks": [{"name": "left"}]},
        {"whitened": 1},
        {"more": 1},
        {"encodings": {"left": {"values": [1, 2]}}},
        {"encodings": {"left": {"values": [1, 2], "missing": [], "factor": 1.0}}},
        {"encodings": {"none": {"values": [], "missing": [], "factor": 1.0}}},
        {"encodings": {"left": {"values": [], "missing": ["red"], "factor": 1.0}}},
    ],
)
def test_what_is_impossible_is_refused(
    preparation: Preparation, tmp_path: Path, changes: dict[str, object]
) -> None:
    path = written(tmp_path / "prediction.json", preparation.to_json() | changes)
    with pytest.raises(DataError, match=r"prediction\.json"):
        Preparation.load(path)


def test_a_task_must_be_possible(preparation: Preparation, tmp_path: Path) -> None:
    for key, value in (("outputs", 10**9), ("scale", 0), ("kind", "x"), ("name", 3), ("unit", [])):
        content = json.loads(json.dumps(preparation.to_json()))
        content["tasks"][0][key] = value
        with pytest.raises(DataError):
            Preparation.load(written(tmp_path / "prediction.json", content))


def test_damaged_files_are_refused(preparation: Preparation, tmp_path: Path) -> None:
    path = tmp_path / "prediction.json"
    with pytest.raises(DataError, match="none"):
        Preparation.load(path)
    whole = json.dumps(preparation.to_json()).encode()
    draw = np.random.default_rng(0)
    for _ in range(300):
        content = bytearray(whole[: draw.integers(1, len(whole) + 1)])
        content[draw.integers(len(content))] ^= 1 << int(draw.integers(8))
        path.write_bytes(content)
        try:
            Preparation.load(path)
        except DataError:
            continue
    path.write_text("[" * 100_000)
    with pytest.raises(DataError):
        Preparation.load(path)
