"""Small made files in the layout of MTAN's NYUv2 and Cityscapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sfg_nas import load_study, search
from sfg_nas.data import INSPECTIONS, Location, load_data
from sfg_nas.errors import DataError


def facing(rng: np.random.Generator) -> np.ndarray:
    """Return directions of length 1, none in the last column."""
    found = rng.normal(size=(16, 24, 3))
    found /= np.linalg.norm(found, axis=-1, keepdims=True)
    found[:, -1] = 0
    return found


def write(root: Path, name: str, label: str = "label", flat: bool = False) -> None:
    rng = np.random.default_rng(0)
    normals = () if label == "label_7" else ("normal",)
    for part, count in (("train", 10), ("val", 4)):
        for kind in ("image", label, "depth", *normals):
            (root / name / part / kind).mkdir(parents=True)
        for k in range(count):
            depth = rng.random((16, 24, 1)) + 1
            depth[0] = 0
            depth = depth[..., 0] if flat else depth
            for kind, array in (
                ("image", rng.random((16, 24, 3))),
                (label, rng.integers(-1, 5, (16, 24)).astype(np.float64)),
                ("depth", depth),
                *((kind, facing(rng)) for kind in normals),
            ):
                np.save(root / name / part / kind / f"{k}.npy", array)


@pytest.mark.parametrize(
    ("name", "label", "flat"), [("nyuv2", "label", False), ("city", "label_7", True)]
)
def test_the_layout_is_read_as_it_is(tmp_path: Path, name: str, label: str, flat: bool) -> None:
    write(tmp_path, name, label, flat)
    bundle = load_data("npy-folders", root=tmp_path, folder=name, label=label)
    assert bundle.image_shape == (3, 16, 24)
    assert (len(bundle.train), len(bundle.validation), len(bundle.test)) == (8, 2, 4)
    labels, depth = bundle.test.targets["labels"], bundle.test.targets["depth"]
    wanted = np.load(tmp_path / name / "val" / label / "2.npy")
    assert labels[2].tolist() == wanted.tolist()
    assert torch.isnan(depth[:, 0]).all()
    assert not torch.isnan(depth[:, 1:]).any()
    assert bundle.tasks[0].outputs == 5
    image = np.load(tmp_path / name / "val" / "image" / "2.npy").astype(np.float32)
    np.testing.assert_array_equal(bundle.test.images[12], image.transpose(2, 0, 1))
    if label == "label":
        normals = bundle.test.targets["normals"]
        wanted = np.load(tmp_path / name / "val" / "normal" / "1.npy")[:, :-1].transpose(2, 0, 1)
        np.testing.assert_allclose(normals[1, :, :, :-1], wanted, rtol=1e-6)
        assert torch.isnan(normals[..., -1]).all()
    assert [task.name for task in bundle.tasks][2:] == (["normals"] if label == "label" else [])
    thin = load_data("npy-folders", root=tmp_path, folder=name, label=label, size=8)
    assert thin.image_shape == (3, 8, 12)


def test_missing_files_are_named(tmp_path: Path) -> None:
    write(tmp_path, "nyuv2")
    (tmp_path / "nyuv2" / "val" / "depth" / "3.npy").unlink()
    with pytest.raises(DataError, match="val/depth: 4 files"):
        load_data("npy-folders", root=tmp_path)


def test_the_tasks_are_known_before_the_arrays_are_read(tmp_path: Path) -> None:
    write(tmp_path, "nyuv2")
    write(tmp_path, "cityscapes", "label_7")
    look = INSPECTIONS["npy-folders"]
    for folder, count in (("nyuv2", 3), ("cityscapes", 2), ("none", 3)):
        found = look({"folder": folder}, Location(root=tmp_path))
        assert found.tasks == ("labels", "depth", "normals")[:count]


def test_shapes_that_do_not_fit_are_named(tmp_path: Path) -> None:
    write(tmp_path, "nyuv2")
    for k in range(4):
        np.save(tmp_path / "nyuv2" / "val" / "normal" / f"{k}.npy", np.zeros((16, 24, 2)))
    with pytest.raises(DataError, match=r"val/normal: arrays \[H, W, 3\] are needed"):
        load_data("npy-folders", root=tmp_path)
    for k in range(4):
        np.save(tmp_path / "nyuv2" / "val" / "normal" / f"{k}.npy", np.zeros((8, 24, 3)))
    with pytest.raises(DataError, match=r"val/normal: maps of the images' size \(16, 24\)"):
        load_data("npy-folders", root=tmp_path)


def test_all_three_tasks_are_searched_and_scored(tmp_path: Path) -> None:
    write(tmp_path, "nyuv2")
    study = {
        "name": "rooms",
        "data": {"kind": "npy-folders", "augment": ["flip", "crop", "colour"]},
        "backbone": {"kind": "unet", "width": 0.0625, "depth": 2},
        "training": {"epochs": 1, "batch_size": 4},
        "search": {"trials": 1, "space": {}},
    }
    run = search(load_study(study, data_root=tmp_path), runs=tmp_path / "runs")
    assert set(run.best.architecture.tasks) == {"labels", "depth", "normals"}
