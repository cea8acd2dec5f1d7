"""Tables of one's own: kinds, missing labels, parts, folders, broken images, and every error at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from sfg_nas.data import DataBundle, load_data
from sfg_nas.errors import ConfigError, DataError
from tests.data.conftest import made_photo

COUNT = 48
COLOURS = ("red", "blue", "green")
TASKS: dict[str, object] = {
    "age": {"kind": "regression", "column": "years", "unit": "years"},
    "colour": {"kind": "classification", "class_weights": "balanced"},
    "grade": {"kind": "ordinal", "classes": ["low", "mid", "high"]},
    "wears": {"kind": "multi-label"},
    "flags": {"kind": "multi-label", "columns": ["hat", "ring"]},
}
Load = Callable[..., DataBundle]


def row(number: int) -> str:
    """Return a line; every seventh number is not known, and some other labels neither."""
    years = "" if number % 7 == 0 else f"{20 + number}"
    colour = "NA" if number == 5 else COLOURS[min(number % 5, 2)]
    grade = ("low", "mid", "high", "")[number % 4]
    wears = ("none", "hat;ring", "hat", "")[number % 4]
    part = ("train", "train", "val", "test")[number % 4]
    flags = f"{(-1, 1)[number % 2]},{'' if number == 3 else (-1, 1)[number // 2 % 2]}"
    return f"pics/{number}.png,{years},{colour},{grade},{wears},{flags},p{number // 3},{part}"


HEADER = "photo,years,colour,grade,wears,hat,ring,patient,part"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("own")
    (place / "pics").mkdir()
    for number in range(COUNT):
        Image.fromarray(made_photo(number)).save(place / "pics" / f"{number}.png")
    lines = [HEADER, *map(row, range(COUNT))]
    (place / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return place


@pytest.fixture
def load(folder: Path) -> Load:
    def ask(**options: object) -> DataBundle:
        given = {"table": "labels.csv", "image": "photo", "tasks": TASKS, "size": 16} | options
        where = given.pop("beside", folder)
        return load_data("table", cache=folder / "cache", beside=where, **given)  # type: ignore[arg-type]

    return ask


def by_task(bundle: DataBundle, name: str) -> torch.Tensor:
    """Return the labels of all parts in the order of the images' names."""
    parts = (bundle.train, bundle.validation, bundle.test)
    rows = np.concatenate([part.indices for part in parts])
    labels = torch.cat([part.targets[name] for part in parts])
    return labels[torch.from_numpy(np.argsort(rows))]


def test_every_kind_is_read_and_missing_labels_are_missing(load: Load) -> None:
    bundle = load()
    order = sorted(range(COUNT), key=lambda number: f"pics/{number}.png")
    ages = by_task(bundle, "age")
    for place, number in enumerate(order):
        assert torch.isnan(ages[place]) == (number % 7 == 0)
        assert number % 7 == 0 or ages[place] == 20 + number
    tasks = {task.name: task for task in bundle.tasks}
    assert tasks["colour"].classes == ("blue", "green", "red")
    assert tasks["grade"].classes == ("low", "mid", "high")
    assert tasks["wears"].classes == ("hat", "ring")
    assert tasks["flags"].classes == ("hat", "ring")
    assert by_task(bundle, "colour")[order.index(5)] == -1
    assert by_task(bundle, "grade")[order.index(2)] == 2
    assert by_task(bundle, "wears")[order.index(2)].tolist() == [1, 0]
    assert by_task(bundle, "wears")[order.index(3)].tolist() == [-1, -1]
    assert by_task(bundle, "flags")[order.index(2)].tolist() == [0, 1]
    assert by_task(bundle, "flags")[order.index(3)].tolist() == [1, -1]
    assert tasks["age"].unit == "years"
    assert tasks["age"].scale > 1
    weights = tasks["colour"].class_weights
    counts = torch.bincount(bundle.train.targets["colour"].clamp(min=0), minlength=3)
    known = (bundle.train.targets["colour"] >= 0).sum().item()
    missing = len(bundle.train) - known
    counts[0] -= missing
    assert weights == pytest.approx([known / 3 / n for n in counts.tolist()])


def test_groups_stay_together_and_strata_keep_their_shares(load: Load) -> None:
    order = sorted(range(COUNT), key=lambda number: f"pics/{number}.png")
    bundle = load(group="patient")
    patients = [
        {order[place] // 3 for place in part.indices.tolist()}
        for part in (bundle.train, bundle.validation, bundle.test)
    ]
    assert len(set.union(*patients)) == sum(map(len, patients)) == COUNT // 3
    wanted = (by_task(load(), "colour") == 1).float().mean().item()
    for options in ({}, {"group": "patient"}):
        for seed in range(3):
            bundle = load(stratify="colour", seed=seed, validation=0.25, test=0.25, **options)
            shares = [
                (part.targets["colour"] == 1).float().mean().item()
                for part in (bundle.train, bundle.validation, bundle.test)
            ]
            assert shares == pytest.approx([wanted] * 3, abs=0.13)


def test_a_split_column_decides(load: Load) -> None:
    order = sorted(range(COUNT), key=lambda number: f"pics/{number}.png")
    bundle = load(split="part")
    for part, rest in (("train", (0, 1)), ("validation", (2,)), ("test", (3,))):
        numbers = sorted(order[place] for place in getattr(bundle, part).indices.tolist())
        assert numbers == [number for number in range(COUNT) if number % 4 in rest]
    assert load(split="part").fingerprint == bundle.fingerprint


def test_grey_and_colour(load: Load, folder: Path) -> None:
    assert load().image_shape == (3, 16, 16)
    bundle = load(colour="grey")
    assert bundle.image_shape == (1, 16, 16)
    first = min(f"pics/{number}.png" for number in range(COUNT))
    grey = Image.open(folder / first).convert("L").resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(bundle.train.images[0, 0], np.asarray(grey))


def test_height_and_width(load: Load, folder: Path) -> None:
    bundle = load(size=[12, 24])
    assert bundle.image_shape == (3, 12, 24)
    first = min(f"pics/{number}.png" for number in range(COUNT))
    photo = Image.open(folder / first).convert("RGB")
    middle = ImageOps.fit(photo, (24, 12), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(bundle.train.images[0], np.asarray(middle).transpose(2, 0, 1))
    square = load(size=[16, 16])
    assert square.fingerprint == load(size=16).fingerprint


@pytest.mark.parametrize("size", [[12], [12, 24, 3], [12, 4], "12", 4, True, [12, 24.0]])
def test_wrong_sizes(load: Load, size: object) -> None:
    with pytest.raises(ConfigError, match=r"data.size: a side of at least 8 pixels, or \[height"):
        load(size=size)


def test_broken_images_are_left_out_and_counted(load: Load, folder: Path) -> None:
    lines = [HEADER, *map(row, range(COUNT))]
    lines += [row(7).replace("pics/7", "pics/none"), row(8).replace("pics/8.png", "text.png")]
    lines += [
        row(9).replace("pics/9.png", ""),
        row(10),
    ]  # no image named; an image for the second time
    (folder / "text.png").write_text("no image", encoding="utf-8")
    (folder / "more.csv").write_text("\n".join(lines), encoding="utf-8")
    bundle = load(table="more.csv")
    parts = (bundle.train, bundle.validation, bundle.test)
    assert sum(map(len, parts)) == COUNT + 1
    said = "\n".join(bundle.warnings)
    assert "more.csv: left out because they name no image: 1 rows" in said
    assert "more.csv: left out because they cannot be decoded: 2 (pics/none.png" in said
    assert "text.png" in said
    again = [{*part.indices.tolist()} for part in parts]
    twice = [
        i for i in range(COUNT) if (bundle.train.images[i] == bundle.train.images[i + 1]).all()
    ]
    assert len(twice) == 1
    assert any({twice[0], twice[0] + 1} <= rows for rows in again)


def test_images_lie_beside_the_table_or_in_the_data_root(
    load: Load, folder: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "else" / "labels.csv"
    moved.parent.mkdir()
    moved.write_bytes((folder / "labels.csv").read_bytes())
    place = {"table": str(moved), "image": "photo", "tasks": TASKS, "size": 16}
    found = load_data("table", root=folder, cache=folder / "cache", **place)  # type: ignore[arg-type]
    assert found.fingerprint == load().fingerprint
    by_root = load_data(
        "table",
        root=folder,
        cache=folder / "cache",
        **{**place, "table": "labels.csv"},  # type: ignore[arg-type]
    )
    assert by_root.fingerprint == found.fingerprint
    with pytest.raises(DataError, match=r"at least one image that can be decoded"):
        load_data("table", cache=tmp_path / "cache", **place)  # type: ignore[arg-type]


def test_parquet_is_the_same(load: Load, folder: Path) -> None:
    pytest.importorskip("pyarrow")
    import pandas as pd

    frame = pd.read_csv(folder / "labels.csv", keep_default_na=False, na_values=["", "NA"])
    frame.to_parquet(folder / "labels.parquet")
    assert load(table="labels.parquet").fingerprint == load().fingerprint


def test_everything_wrong_is_said_at_once(load: Load) -> None:
    wrong = {
        "age": {"kind": "regresion", "column": "yeers"},
        "colour": {"kind": "classification", "column": "colour", "klass": 1},
        "grade": {"kind": "ordinal", "column": "grade"},
        "height": {"kind": "regression"},
        "years": {"kind": "regression", "column": "colour"},
        "flags": {"kind": "regression", "columns": ["hat"]},
    }
    with pytest.raises(ConfigError) as caught:
        load(tasks=wrong, size=2, group="patiend", stratify="sex", split="grade", test=0.9)
    said = str(caught.value).splitlines()
    for text in (
        "data.tasks.age.kind: one of",
        "did you mean `regression`?",
        "data.tasks.age.column: a column of the table is needed; found `yeers`; did you mean `years`?",
        "data.tasks.colour.klass: ",
        "data.tasks.grade.column: `classes`, the levels from low to high, are needed",
        "data.tasks.height: a column of the table is needed; found `height`",
        "labels.csv: line 2: colour: a finite number, or nothing, is needed; found 'red'",
        "data.tasks.flags.columns: a task of kind regression has one column",
        "data.size: ",
        "data.group: ",
        "did you mean `patient`?",
        "data.stratify: a task of this table is needed; found `sex`",
        "data.test: validation + test below 1",
        "labels.csv: line 2: grade: one of train",
    ):
        assert any(text in line for line in said), text
    wrong_cells = [line for line in said if "labels.csv: line" in line and ": colour:" in line]
    assert len(wrong_cells) == 10
    assert any("47 that do not" in line for line in said)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"table": ""}, "`table` is required"),
        ({"table": "no.csv"}, "data.table: a table that exists is needed"),
        ({"tasks": None}, "data.tasks: a mapping"),
        ({"tasks": {"colour": "classification"}}, "data.tasks.colour: a mapping"),
        ({"image": "file"}, "data.image: a column of the table is needed; found `file`"),
        ({"image": None}, "data: a column with the paths of the images is needed"),
        ({"split": "colour"}, "is needed; found"),
        ({"split": "part", "stratify": "colour"}, "data.stratify: only parts that are drawn"),
        ({"tasks": {"colour": {"kind": "classification", "class_weights": {"red": 1}}}}, "without one"),
        ({"tasks": {"colour": {"kind": "classification", "class_weights": "even"}}}, "`balanced`"),
        ({"tasks": {"photo": {"kind": "classification"}}}, "classes that occur more than once"),
        ({"tasks": {"c": {"kind": "classification", "column": "one"}}}, "a column of the table is needed"),
        ({"tasks": {"w": {"kind": "multi-label", "columns": ["hat", "ring"], "classes": ["hat"]}}}, "found 1 classes, 2 columns"),
        ({"tasks": {"grade": {"kind": "ordinal", "classes": ["low", "NA"]}}}, "classes: names other than"),
        ({"tasks": {"colour": {"kind": "classification", "classes": [None, "red"]}}}, "found None; give"),
        ({"tasks": {"c/d": {"kind": "classification", "column": "colour"}}}, "without `/`"),
    ],
)  # fmt: skip
def test_wrong_options(load: Load, options: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**options)
    assert text in str(caught.value)


def test_names_as_other_systems_write_them(folder: Path, load: Load) -> None:
    lines = ["Image,colour"]
    for number in range(COUNT):
        colour = COLOURS[number % 3].title() if number % 2 else COLOURS[number % 3]
        lines.append(f"pics\\{number}.png,{colour}")
    (folder / "windows.csv").write_text("\n".join(lines), encoding="utf-8")
    tasks = {"colour": {"kind": "classification"}}
    bundle = load(table="windows.csv", image=None, tasks=tasks)
    assert sum(map(len, (bundle.train, bundle.validation, bundle.test))) == COUNT
    assert "colour: classes that differ in capitals only: Blue" in "".join(bundle.warnings)


def test_modes_of_images_are_the_same_image(folder: Path) -> None:
    """16 bits, palettes, alpha and a camera that lay on its side give the pixels of the plain photo."""
    grey = Image.open(folder / "pics/1.png").convert("L")
    place = folder / "modes"
    place.mkdir()
    grey.save(place / "plain.png")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(place / "wide.png")
    grey.convert("P").save(place / "palette.png")
    grey.convert("LA").save(place / "alpha.png")
    lying = grey.rotate(90, expand=True)
    exif = lying.getexif()
    exif[0x0112] = 6
    lying.save(place / "lying.png", exif=exif)
    names = ["plain", "wide", "palette", "alpha", "lying"]
    lines = ["file,x", *(f"{name}.png,{k}" for k, name in enumerate(names))]
    (place / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    bundle = load_data(
        "table", beside=place, cache=place / "cache", table="t.csv", size=16, colour="grey",
        tasks={"x": {"kind": "regression"}}, duplicates="ignore", validation=0.3, test=0.3,
    )  # fmt: skip
    images = bundle.train.images
    assert all(np.array_equal(images[0], image) for image in images[1:])
