"""The registry, and what every data set in it must keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sfg_nas.data import (
    DATASET_TASKS,
    DATASETS,
    DataBundle,
    data_options,
    load_data,
    write_phantoms,
)
from sfg_nas.errors import ConfigError, DataError
from tests.data.test_npy_folders import write as write_npy

SMALL: dict[str, dict[str, object]] = {
    "digits": {"train": 60, "validation": 20, "test": 20},
    "multimnist": {"train": 60, "validation": 20, "test": 20},
    "npy-folders": {"validation": 0.2},
    "planted": {"train": 60, "validation": 20, "test": 20},
    "table": {
        "table": "faces.csv",
        "size": 16,
        "tasks": {
            "age": {"kind": "regression", "unit": "years"},
            "sex": {"kind": "classification", "column": "gender"},
        },
    },
    "utkface": {"size": 16},
    "volumes": {"size": 16, "patches": 8, "validation": 1, "folds": 2},
}
# Patches of volumes are no rows of one array: tests/data/volumes has their contract.
ROWS = sorted(set(SMALL) - {"volumes", "npy-folders"})


def load(kind: str, root: Path, **options: object) -> DataBundle:
    if kind == "volumes" and not (root / "volumes").exists():
        write_phantoms(root / "volumes", 6, size=32)
    if kind == "npy-folders" and not (root / "nyuv2").exists():
        write_npy(root, "nyuv2")
    return load_data(kind, root=root, cache=root / "cache", **{**SMALL[kind], **options})


@pytest.fixture
def root(faces: Path, mnist: Path) -> Path:
    assert faces == mnist
    names = sorted(path.name for path in (faces / "utkface").iterdir())
    lines = [f"utkface/{name},{name[:2]},{'mf'[int(name[3])]}" for name in names]
    (faces / "faces.csv").write_text("\n".join(["file,age,gender", *lines]), encoding="utf-8")
    return faces


def test_every_data_set_is_tested() -> None:
    assert set(SMALL) == set(DATASETS)


@pytest.mark.parametrize("kind", ROWS)
def test_contract(kind: str, root: Path) -> None:
    bundle = load(kind, root)
    parts = (bundle.train, bundle.validation, bundle.test)
    assert bundle.name == kind
    names = tuple(task.name for task in bundle.tasks)
    assert DATASET_TASKS[kind] in (None, names)
    assert len(set(names)) == len(names) >= 2
    rows = np.concatenate([part.indices for part in parts])
    assert len(np.unique(rows)) == len(rows)
    for part in parts:
        assert part.image_shape == bundle.image_shape
        assert set(part.targets) == {task.name for task in bundle.tasks}
        assert {len(labels) for labels in part.targets.values()} == {len(part)}
        assert (part.mean, part.std) == (bundle.train.mean, bundle.train.std)
    images, targets = next(bundle.train.batches(len(bundle.train)))
    channels = bundle.image_shape[0]
    axes = (0, 2, 3)
    torch.testing.assert_close(images.mean(axes), torch.zeros(channels), atol=1e-4, rtol=0)
    torch.testing.assert_close(images.std(axes), torch.ones(channels), atol=1e-2, rtol=0)
    for task in bundle.tasks:
        output = torch.zeros(len(images), task.outputs)
        assert torch.isfinite(task.loss(output, targets[task.name]))
        if task.kind == "regression":
            assert task.loss(output, targets[task.name]).item() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("kind", sorted(DATASETS))
def test_the_seed_decides_and_fraction_thins(kind: str, root: Path) -> None:
    first = load(kind, root)
    assert load(kind, root).fingerprint == first.fingerprint
    assert load(kind, root, seed=1).fingerprint != first.fingerprint
    half = load(kind, root, fraction=0.5)
    assert len(half.train) == round(len(first.train) / 2)
    assert len(half.validation) == len(first.validation)
    assert half.fingerprint != first.fingerprint


def test_unknown_names_are_refused_with_a_proposal() -> None:
    with pytest.raises(ConfigError, match=r"data\.kind: .*did you mean 'digits'"):
        load_data("digit")
    with pytest.raises(ConfigError, match=r"data\.overlapp: .*did you mean 'overlap'"):
        load_data("digits", overlapp=0.5)
    with pytest.raises(ConfigError, match="location"):
        load_data("digits", location=None)
    with pytest.raises(DataError, match="no data root"):
        load_data("utkface")


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("volumes", {"folder": 5}, "data.folder: text is needed; found 5"),
        ("volumes", {"organs": ["bone"]}, "data.organs: a mapping is needed; found ['bone']"),
        ("npy-folders", {"label": ["label"]}, "data.label: text is needed; found ['label']"),
        ("utkface", {"size": 2.5}, "utkface: size: an integer"),
        ("utkface", {"test": "x"}, "utkface: test: a number"),
        ("utkface", {"split": None}, "no data root"),
        ("volumes", {"mr": None, "ct": None}, "no data root"),
    ],
)
def test_wrong_types_of_options(kind: str, options: dict[str, object], text: str) -> None:
    with pytest.raises((ConfigError, DataError)) as caught:
        load_data(kind, **options)  # type: ignore[arg-type]
    assert text in str(caught.value)


def test_an_option_that_says_nothing_is_left_out(root: Path) -> None:
    told = load_data("digits", root=root, size=None)  # as `size:` in a study file
    assert told.fingerprint == load_data("digits", root=root).fingerprint


def test_options_and_their_defaults_are_told() -> None:
    assert data_options("utkface")["size"] == 64
    assert "location" not in data_options("digits")
    assert all({"size", "seed", "fraction"} <= set(data_options(kind)) for kind in DATASETS)
