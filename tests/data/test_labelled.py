from __future__ import annotations

import math
from pathlib import Path

import pytest

from sfg_nas.data import photos_of_folder, photos_of_table
from sfg_nas.errors import DataError
from sfg_nas.tasks import Task

TASKS = (Task("age", "regression", unit="years"), Task("gender", "classification", outputs=2))


def table(folder: Path, text: str) -> Path:
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_stand_in_columns(tmp_path: Path) -> None:
    path = table(tmp_path, "file,split,age,gender\na.png,x,30.5,1\nb.png,y,20,0\nc.png,x,,-1\n")
    photos = photos_of_table(path, "x", None, kind="digits", tasks=TASKS)
    assert photos.paths == (tmp_path / "a.png", tmp_path / "c.png")
    ages = photos.targets["age"].tolist()
    assert ages[0] == 30.5
    assert math.isnan(ages[1])
    assert photos.targets["gender"].tolist() == [1, -1]
    assert len(photos_of_table(path, None, None, kind="digits", tasks=TASKS).paths) == 3


def test_labels_of_names_fill_what_the_table_lacks(tmp_path: Path) -> None:
    (tmp_path / "utkface").mkdir()
    path = table(tmp_path, "file,age\n40_1_x.jpg,50\nnameless.jpg,60\n")
    photos = photos_of_table(path, None, None, kind="utkface", tasks=TASKS)
    assert photos.targets["age"].tolist() == [50, 60]
    assert photos.targets["gender"].tolist() == [1, -1]
    assert photos.paths[0] == tmp_path / "utkface/40_1_x.jpg"
    other = photos_of_table(path, None, tmp_path / "other", kind="utkface", tasks=TASKS)
    assert other.paths[0] == tmp_path / "other/40_1_x.jpg"


def test_a_folder_of_names_with_labels(tmp_path: Path) -> None:
    for name in ("7_0_a.jpg", "8_1_b.jpg"):
        (tmp_path / name).touch()
    photos = photos_of_folder(tmp_path, kind="utkface", tasks=TASKS)
    assert photos.targets["age"].tolist() == [7, 8]
    with pytest.raises(DataError, match="labels are needed"):
        photos_of_folder(tmp_path, kind="digits", tasks=TASKS)


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ("a.png,x,old,1", "line 2: age"),
        ("a.png,x,inf,1", "line 2: age"),
        ("a.png,x,3,2", "line 2: gender"),
        ("a.png,x,3,0.5", "line 2: gender"),
        ("a.png,x,,", "labels are needed"),
        ("a.png,y,3,1", "the parts there are y"),
    ],
)
def test_wrong_rows(tmp_path: Path, row: str, part: str) -> None:
    path = table(tmp_path, f"file,split,age,gender\n{row}\n")
    with pytest.raises(DataError, match=part):
        photos_of_table(path, "x", None, kind="digits", tasks=TASKS)


def test_labels_stand_where_the_training_table_had_them(tmp_path: Path) -> None:
    tasks = (
        Task("age", "regression"),
        Task("mood", "classification", 2, classes=("bad", "good")),
        Task("wears", "multi-label", 2, classes=("hat", "ring")),
    )
    path = table(tmp_path, "photo,years,mood,hat,ring,part\na,3,good,1,0,x\nb,4,,-1,,y\n")
    columns = {"": ("photo",), "/split": ("part",), "age": ("years",), "wears": ("hat", "ring")}
    photos = photos_of_table(path, None, None, kind="table", tasks=tasks, columns=columns)
    assert photos.paths[0] == tmp_path / "a"
    assert photos.targets["age"].tolist() == [3, 4]
    assert photos.targets["mood"].tolist() == [1, -1]
    assert photos.targets["wears"].tolist() == [[1, 0], [0, -1]]
    one = photos_of_table(path, "y", None, kind="table", tasks=tasks, columns=columns)
    assert one.targets["age"].tolist() == [4]
    wrong = table(tmp_path, "photo,mood\na,fine\n")
    with pytest.raises(DataError, match="line 2: mood: a class out of bad, good is needed"):
        photos_of_table(wrong, None, None, kind="table", tasks=tasks, columns=columns)


@pytest.mark.parametrize(
    ("columns", "classes", "cells", "labels"),
    [
        (("hat", "ring"), ("Hat", "Ring"), ("1,no", ",yes"), [[1, 0], [-1, 1]]),
        (("hat",), ("Hat",), ("1,", "no,"), [[1], [0]]),
        (("hat",), ("hat",), ("hat,", "none,"), [[1], [0]]),
        (("hat",), ("1", "0"), ("1,", "0,"), [[1, 0], [0, 1]]),
    ],
)
def test_labels_of_columns_may_have_other_names_than_these(
    tmp_path: Path,
    columns: tuple[str, ...],
    classes: tuple[str, ...],
    cells: tuple[str, str],
    labels: list[list[int]],
) -> None:
    task = Task("wears", "multi-label", outputs=len(classes), classes=classes)
    path = table(tmp_path, f"file,hat,ring\na.png,{cells[0]}\nb.png,{cells[1]}\n")
    known = {"wears": columns}
    photos = photos_of_table(path, None, None, kind="table", tasks=(task,), columns=known)
    assert photos.targets["wears"].tolist() == labels


def test_label_images_stand_in_columns_too(tmp_path: Path) -> None:
    tasks = (*TASKS, Task("ball", "segmentation", 2), Task("far", "dense-regression"))
    path = table(tmp_path, "file,mask,far\na.png,m/a.png,\nb.png,,\n")
    photos = photos_of_table(
        path, None, None, kind="table", tasks=tasks, columns={"ball": ("mask",)}
    )
    files = [label.file for label in photos.label_images["ball"]]
    assert files == [tmp_path / "m/a.png", None]
    assert photos.label_images["ball"][0].where == f"{path}: line 2: mask"
    assert set(photos.label_images) == {"ball"}  # `far` names none
    assert photos.targets == {}
