"""Predictions as images of the photos' sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sfg_nas.data import label_image, stems_of, write_label_image
from sfg_nas.tasks import Encoding, Task


@pytest.mark.parametrize("photo", [(30, 20), (20, 30), (10, 10), (7, 40)])
def test_a_prediction_lies_where_the_network_looked(photo: tuple[int, int]) -> None:
    task = Task("a", "segmentation", 2, classes=("x", "y"))
    output = torch.zeros(2, 10, 10)
    output[1, :, :5] = 8.0
    output[0, :, 5:] = 8.0
    pixels = label_image(task, output, photo, Encoding(values=(0, 200), missing=(9,)))
    width, height = photo
    side = min(photo)
    left, top = (width - side) // 2, (height - side) // 2
    assert pixels.shape == (height, width)
    assert (pixels == 9).sum() == width * height - side * side
    cut = pixels[top : top + side, left : left + side]
    assert (cut[:, : side // 2] == 200).all()
    assert (cut[:, side // 2 + 1 :] == 0).all()


def test_numbers_and_directions() -> None:
    depth = Task("d", "dense-regression", center=2.0, scale=0.5)
    found = label_image(depth, torch.ones(1, 4, 4), (8, 12), Encoding(factor=0.001))
    assert found.dtype == np.float32
    assert np.isnan(found[:2]).all()
    np.testing.assert_allclose(found[2:10], 2.5)
    faces = Task("f", "normals", 3)
    up = torch.tensor([0.0, 0.0, 3.0]).view(3, 1, 1).expand(3, 4, 4)
    bytes_ = label_image(faces, up, (4, 6), Encoding())
    assert bytes_[0, 0].tolist() == [0, 0, 0]
    assert bytes_[2, 2].tolist() == [128, 128, 255]


def test_files(tmp_path: Path) -> None:
    png = write_label_image(tmp_path / "new/a.b_mask", np.full((2, 3), 7, dtype=np.uint8))
    assert png.name == "a.b_mask.png"
    assert np.asarray(Image.open(png)).tolist() == [[7] * 3] * 2
    wide = write_label_image(tmp_path / "wide", np.full((2, 3), 700, dtype=np.uint16))
    assert np.asarray(Image.open(wide)).max() == 700
    npy = write_label_image(tmp_path / "d", np.ones((2, 2), dtype=np.float32))
    assert np.load(npy).tolist() == [[1, 1], [1, 1]]
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == sorted(
        ["a.b_mask.png", "wide.png", "d.npy"]
    )


def test_stems_are_as_short_as_can_be_and_all_different(tmp_path: Path) -> None:
    names = ("a/1.png", "b/1.png", "b/1.jpg", "b/2.png", "x/b/1.png")
    paths = [tmp_path / name for name in (*names, "b/2.png")]
    stems = stems_of(paths)
    assert stems[paths[0]] == Path("a/1")
    assert stems[paths[2]] == Path("b/1.jpg")
    assert stems[paths[3]] == Path("2")
    assert len(set(stems.values())) == len(set(paths)) == 5
    assert not any(stem.is_absolute() for stem in stems.values())
