"""Small made files in the layout of MTAN's NYUv2 and Cityscapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sfg_nas.data import load_data
from sfg_nas.errors import DataError


def write(root: Path, name: str, label: str = "label", flat: bool = False) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 10), ("val", 4)):
        for kind in ("image", label, "depth", "normal"):
            (root / name / part / kind).mkdir(parents=True)
        for k in range(count):
            depth = rng.random((16, 24, 1)) + 1
            depth[0] = 0
            depth = depth[..., 0] if flat else depth
            for kind, array in (
                ("image", rng.random((16, 24, 3))),
                (label, rng.integers(-1, 5, (16, 24)).astype(np.float64)),
                ("depth", depth),
                ("normal", rng.random((16, 24, 3))),
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
    thin = load_data("npy-folders", root=tmp_path, folder=name, label=label, size=8)
    assert thin.image_shape == (3, 8, 12)


def test_missing_files_are_named(tmp_path: Path) -> None:
    write(tmp_path, "nyuv2")
    (tmp_path / "nyuv2" / "val" / "depth" / "3.npy").unlink()
    with pytest.raises(DataError, match="val/depth: 4 files"):
        load_data("npy-folders", root=tmp_path)
