"""What label images that nobody described seem to hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfg_nas.data.guess_images import guess_label_images

RNG = np.random.default_rng(0)
SHAPE = (6, 8)


def write(folder: Path, array: np.ndarray, ending: str = "png") -> list[Path]:
    """Write three files of the same content."""
    files = [folder / f"{number}.{ending}" for number in range(3)]
    for file in files:
        if ending == "npy":
            np.save(file, array)
        else:
            Image.fromarray(array).save(file)
    return files


def whole(*values: int, dtype: str = "uint8") -> np.ndarray:
    return np.resize(np.array(values, dtype=dtype), SHAPE)


@pytest.mark.parametrize(
    ("name", "array", "entry"),
    [
        ("mask", whole(0, 255), {"kind": "segmentation", "classes": 2, "values": [0, 255]}),
        ("mask", whole(0, 1), {"kind": "segmentation", "classes": 2}),
        ("mask", whole(0, 1, 2, 255), {"kind": "segmentation", "classes": 3, "missing": 255}),
        ("organs", whole(0, 50, 100), {"kind": "segmentation", "classes": 3, "values": [0, 50, 100]}),
        ("depth", whole(0, 5, 9), {"kind": "dense-regression", "missing": 0}),
        ("far", whole(*range(40, 88)), {"kind": "dense-regression"}),
        ("far", whole(*range(0, 4800, 100), dtype="uint16"), {"kind": "dense-regression"}),
        ("x", RNG.random(SHAPE, dtype=np.float32), {"kind": "dense-regression"}),
        ("x", RNG.random((*SHAPE, 3), dtype=np.float32) * 2 - 1, {"kind": "normals"}),
        ("normals", RNG.integers(0, 256, (*SHAPE, 3), dtype=np.uint8), {"kind": "normals"}),
        ("x", RNG.integers(0, 256, (*SHAPE, 3), dtype=np.uint8), {}),
        ("x", RNG.random((*SHAPE, 3), dtype=np.float32), {}),
        ("x", whole(4), {}),
        ("x", np.stack([whole(0, 9), whole(0, 0), whole(0, 3)], axis=-1),
         {"kind": "segmentation", "classes": 2, "values": ["#000000", "#090003"]}),
    ],
)  # fmt: skip
def test_by_their_pixels(
    tmp_path: Path, name: str, array: np.ndarray, entry: dict[str, object]
) -> None:
    ending = "npy" if array.dtype == np.float32 else "png"
    found, why = guess_label_images(name, write(tmp_path, array, ending))
    if "classes" in found:
        found["classes"] = len(found["classes"])  # type: ignore[arg-type]
    assert found == entry
    assert why


def test_files_that_are_not_there(tmp_path: Path) -> None:
    found, why = guess_label_images("mask", [tmp_path / "none.png"])
    assert found == {}
    assert "none.png could be read" in why
