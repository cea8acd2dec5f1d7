"""Label images of a table: read as their photos are, kept, and reported by row and column."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sfg_nas.data import DataBundle, LabelFile, load_data
from sfg_nas.data.label_images import read_label
from sfg_nas.errors import ConfigError, DataError
from sfg_nas.tasks import Encoding, Task, WrongLabelError
from tests.scenes import TASKS, write_scenes

COUNT = 21
Load = Callable[..., DataBundle]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_scenes(tmp_path / "own", COUNT).parent


@pytest.fixture
def load(folder: Path) -> Load:
    def ask(**options: object) -> DataBundle:
        given = {"table": "scenes.csv", "tasks": TASKS, "size": 24} | options
        return load_data("table", cache=folder / "cache", beside=folder, **given)  # type: ignore[arg-type]

    return ask


def whole(bundle: DataBundle, task: str) -> torch.Tensor:
    """Return the targets of all parts in the order of the stored images."""
    parts = (bundle.train, bundle.validation, bundle.test)
    rows = np.concatenate([part.indices for part in parts])
    return torch.cat([part.targets[task] for part in parts])[torch.from_numpy(np.argsort(rows))]


def test_labels_lie_on_the_pixels_of_their_photos(load: Load, folder: Path) -> None:
    bundle = load()
    order = sorted(range(COUNT), key=lambda number: f"photos/{number}.png")
    masks, depths, faces = (whole(bundle, name) for name in ("ball", "depth", "faces"))
    middle = np.s_[:, 4:28]  # of 24 x 32 pixels: a square in which nothing is resized
    for place, number in enumerate(order):
        wanted = np.asarray(Image.open(folder / f"labels/{number}_ball.png"))[middle] // 255
        if number % 7:
            assert masks[place].tolist() == wanted.tolist()
        else:
            assert (masks[place] == -1).all()
        assert whole(bundle, "parts")[place].tolist() == wanted.tolist()
        depth = np.asarray(Image.open(folder / f"labels/{number}_depth.png"))[middle] / 1000
        assert torch.isnan(depths[place, 0]).all()
        np.testing.assert_allclose(depths[place, 1:], depth[1:], rtol=1e-6)
        normals = np.load(folder / f"labels/{number}_faces.npy")[middle]
        np.testing.assert_allclose(faces[place].permute(1, 2, 0), normals, atol=1e-3)
    kinds = {task.name: task for task in bundle.tasks}
    assert kinds["ball"].classes == ("wall", "ball")
    assert kinds["depth"].unit == "m"
    assert 1.5 < kinds["depth"].center < 2


def test_a_photo_and_its_labels_are_cut_alike(tmp_path: Path) -> None:
    """A label image that is the photo itself has, resized, nearly the photo's pixels."""
    down, right = np.mgrid[:50, :70]
    pixels = (2 * down + right).astype(np.uint8)
    for name in ("photo.png", "label.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "t.csv").write_text(
        "\n".join(["file,far", *["photo.png,label.png"] * 6]), encoding="utf-8"
    )
    bundle = load_data(
        "table", beside=tmp_path, cache=tmp_path / "cache", table="t.csv", size=16, colour="grey",
        duplicates="ignore", tasks={"far": {"kind": "dense-regression"}},
    )  # fmt: skip
    far = bundle.train.targets["far"][0].numpy()
    assert np.abs(far - bundle.train.images[0, 0]).max() <= 3


def test_the_second_time_they_come_from_the_cache(
    load: Load, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load()
    monkeypatch.setattr("sfg_nas.data.label_images.read_label", lambda *_: 1 / 0)
    again = load()
    assert again.fingerprint == first.fingerprint
    assert torch.equal(whole(again, "ball"), whole(first, "ball"))
    with pytest.raises(ZeroDivisionError):  # another encoding is another content
        load(
            tasks={
                **TASKS,
                "ball": {"kind": "segmentation", "classes": ["a", "b"], "values": [255, 0]},
            }
        )
    shutil.copy(folder / "labels/1_ball.png", folder / "labels/2_ball.png")
    with pytest.raises(ZeroDivisionError):
        load()


def test_what_is_wrong_is_said_by_row_and_column(load: Load, folder: Path) -> None:
    labels = folder / "labels"
    (labels / "1_ball.png").unlink()
    Image.fromarray(np.zeros((10, 12), dtype=np.uint8)).save(labels / "2_ball.png")
    Image.fromarray(np.full((24, 32), 3, dtype=np.uint8)).save(labels / "3_ball.png")
    (labels / "4_depth.png").write_text("no image", encoding="utf-8")
    np.save(labels / "5_faces.npy", np.full((24, 32, 3), 9.0))
    np.save(labels / "6_faces.npy", np.zeros((24, 32, 2)))
    np.save(labels / "8_faces.npy", np.array([{}], dtype=object), allow_pickle=True)
    Image.fromarray(np.full((24, 32), 3, np.uint8)).save(labels / "9.jpg")
    table = folder / "scenes.csv"
    table.write_text(table.read_text().replace("labels/9_ball.png", "labels/9.jpg"))
    with pytest.raises(DataError) as caught:
        load()
    said = str(caught.value)
    for text in (
        "scenes.csv: line 3: ball: a file that exists is needed",
        "line 4: ball: the size of its photo, 32 x 24 pixels, is needed; found 12 x 10 in 2_ball.png",
        "line 5: ball: pixels of 0, 255, or -1 where missing, are needed; found 3 in 3_ball.png",
        "line 6: depth: a label image that can be read is needed",
        "line 7: faces: numbers from -1 to 1, or bytes from 0 to 255, are needed; found 9",
        "line 8: faces: three numbers per pixel",
        "line 10: faces: a label image that can be read is needed",
        "line 11: ball: pixels of",
        "JPEG changes pixels",
    ):
        assert text in said, text
    assert len(said.splitlines()) == 8


def test_many_wrong_ones_are_counted(load: Load, folder: Path) -> None:
    for file in (folder / "labels").glob("*_ball.png"):
        file.unlink()
    with pytest.raises(DataError) as caught:
        load()
    said = str(caught.value).splitlines()
    assert len(said) == 11
    assert "8 more that do not" in said[-1]


def test_a_photo_that_cannot_be_read_needs_no_label(load: Load, folder: Path) -> None:
    (folder / "photos/3.png").write_text("broken", encoding="utf-8")
    (folder / "labels/3_ball.png").unlink()
    assert "cannot be decoded: 1" in "".join(load().warnings)


def test_palettes_bits_and_turned_photos(tmp_path: Path) -> None:
    task, encoding = Task("a", "segmentation", 2, classes=("x", "y")), Encoding()
    marks = np.zeros((8, 8), dtype=np.uint8)
    marks[:2] = 1
    photo = Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8))
    photo.save(tmp_path / "photo.png")
    palette = Image.fromarray(marks).convert("P")
    palette.putdata(marks.flatten().tolist())
    palette.putpalette([9, 9, 9, 200, 0, 0])
    palette.save(tmp_path / "palette.png")
    Image.fromarray(marks.astype(bool)).save(tmp_path / "bits.png")
    np.save(tmp_path / "bits.npy", marks.astype(bool))
    for name in ("palette.png", "bits.png", "bits.npy"):
        found = read_label(
            task, encoding, LabelFile(tmp_path / name, tmp_path / "photo.png", "x"), (8, 8)
        )
        assert found.tolist() == marks.tolist(), name
    wide = Image.fromarray(np.zeros((6, 8, 3), dtype=np.uint8))
    turned = wide.getexif()
    turned[0x0112] = 6
    wide.save(tmp_path / "turned.jpg", exif=turned)
    np.save(tmp_path / "upright.npy", np.zeros((8, 6), dtype=np.uint8))
    np.save(tmp_path / "lying.npy", np.zeros((6, 8), dtype=np.uint8))
    label = LabelFile(tmp_path / "upright.npy", tmp_path / "turned.jpg", "x")
    assert read_label(task, encoding, label, (6, 6)).shape == (6, 6)
    with pytest.raises(WrongLabelError, match="6 x 8 pixels"):
        read_label(task, encoding, LabelFile(tmp_path / "lying.npy", label.photo, "x"), (6, 6))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"ball": {"kind": "segmentation", "classes": ["a"], "values": [0, 1]}}, "one of `values` for each"),
        ({"ball": {"kind": "segmentation"}}, "`classes`, the background first"),
        ({"ball": {"kind": "segmentation", "classes": ["a", "b"], "factor": 2}}, "kind segmentation has no such key"),
        ({"side": {"kind": "classification", "missing": 3}}, "kind classification has no such key"),
        ({"depth": {"kind": "dense-regression", "factor": 0}}, "`factor`, a number other than 0"),
        ({"depth": {"kind": "dense-regression", "classes": ["a"]}}, "only a kind with classes"),
        ({"faces": {"kind": "normals", "unit": 3, "valves": 1}}, "did you mean `values`?"),
    ],
)  # fmt: skip
def test_wrong_options(load: Load, changes: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tasks={**TASKS, **changes})
    assert text in str(caught.value)


def test_only_tasks_with_one_label_each_are_stratified(load: Load) -> None:
    assert len(load(stratify="side").train)
    with pytest.raises(ConfigError, match="`ball`, whose labels are images"):
        load(stratify="ball")
