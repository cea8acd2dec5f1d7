"""Faces: names, splits, near-duplicates, what is left out and said."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sfg_nas.data import DataBundle, ImageSet, load_data
from sfg_nas.errors import ConfigError, DataError

SHARES = {"validation": 0.2, "test": 0.2}


def load(faces: Path, **options: object) -> DataBundle:
    return load_data("utkface", root=faces, cache=faces.parent / "cache", **{"size": 16, **options})


def names_of(faces: Path) -> list[str]:
    return sorted(path.name for path in (faces / "utkface").iterdir())


def parts_of(bundle: DataBundle) -> dict[str, ImageSet]:
    return {"train": bundle.train, "validation": bundle.validation, "test": bundle.test}


def rows_of(bundle: DataBundle) -> dict[str, set[int]]:
    return {name: set(part.indices.tolist()) for name, part in parts_of(bundle).items()}


def write_split(faces: Path, parts: Mapping[str, str]) -> None:
    with (faces / "utkface_split.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("file", "split"))
        table.writerows(parts.items())


def filed(faces: Path, tests: int = 10) -> dict[str, str]:
    names = names_of(faces)
    parts = {name: "training" if row >= tests else "validation" for row, name in enumerate(names)}
    write_split(faces, parts)
    return parts


def test_age_and_gender_come_from_the_names_and_fit_their_photos(
    faces: Path, photo: Callable[..., NDArray[np.uint8]]
) -> None:
    bundle = load(faces, size=32, **SHARES)
    age, gender = bundle.tasks
    assert (age.name, age.kind, age.unit) == ("age", "regression", "years")
    assert (gender.name, gender.kind, gender.outputs) == ("gender", "classification", 2)
    seen = []
    for part in parts_of(bundle).values():
        for place, row in enumerate(part.indices):
            number = int(part.targets["age"][place]) - 20
            assert int(part.targets["gender"][place]) == number % 2
            original = photo(number).transpose(2, 0, 1).astype(int)
            assert np.abs(part.images[row].astype(int) - original).mean() < 20
            seen.append(number)
    assert sorted(seen) == list(range(40))
    assert bundle.warnings == ()
    ages = bundle.train.targets["age"].numpy()
    assert (age.center, age.scale) == pytest.approx((ages.mean(), ages.std()), rel=1e-5)


def test_odd_names_are_read_or_named_with_the_reason(faces: Path) -> None:
    folder = faces / "utkface"
    source = folder / names_of(faces)[0]
    odd = ("61_1_20170109150557335.jpg.chip.jpg", "24_0_1_2017 .jpg", "55_0_0_2017jpg.chip.jpg")
    unread = ("a_0_0_1.jpg", "30_2_0_1.jpg", "30__0_1.jpg", "30_1.jpg")
    for name in (*odd, *unread):
        shutil.copy(source, folder / name)
    (folder / "77_1_folder").mkdir()
    (folder / ".hidden").write_text("x")
    bundle = load(faces, split="seeded", **SHARES)
    assert sum(len(part) for part in parts_of(bundle).values()) == 43
    (warning,) = bundle.warnings
    assert "age_gender_" in warning
    assert ": 5 (" in warning
    assert all(name in warning for name in (*unread, "77_1_folder"))
    assert not any(name in warning for name in (*odd, ".hidden"))


def test_corrupt_photos_are_left_out_counted_and_named(faces: Path) -> None:
    folder, names = faces / "utkface", names_of(faces)
    content = (folder / names[3]).read_bytes()
    (folder / names[3]).write_bytes(content[: len(content) // 2])
    (folder / names[30]).write_bytes(b"no photo")
    for split in ("seeded", "file"):
        filed(faces)
        bundle = load(faces, split=split, **SHARES)
        rows = set().union(*rows_of(bundle).values())
        assert rows == set(range(40)) - {3, 30}
        warning = next(text for text in bundle.warnings if "cannot be decoded" in text)
        assert ": 2 (" in warning
        assert f"{names[3]} (OSError: " in warning
        assert f"{names[30]} (UnidentifiedImageError: " in warning


def test_near_duplicates_stay_together_for_every_seed(
    faces: Path, photo: Callable[..., NDArray[np.uint8]]
) -> None:
    folder, groups = faces / "utkface", []
    for number in range(0, 20, 2):
        darker = (photo(number).astype(np.float64) * 0.8).astype(np.uint8)
        name = f"90_{number % 2}_0_copy{number}.jpg"  # another age, as in the real folder
        Image.fromarray(darker).save(folder / name, quality=60)
        groups.append((number, name))
    names = names_of(faces)
    pairs = [
        (names.index(next(n for n in names if n.startswith(f"{20 + number}_"))), names.index(copy))
        for number, copy in groups
    ]
    places = []
    for seed in range(8):
        drawn = rows_of(load(faces, seed=seed, **SHARES))
        assert sum(len(rows) for rows in drawn.values()) == 50
        place = [next(p for p, rows in drawn.items() if pair[0] in rows) for pair in pairs]
        assert place == [next(p for p, rows in drawn.items() if pair[1] in rows) for pair in pairs]
        places.append(place)
    assert {place for drawn in places for place in drawn} == {"train", "validation", "test"}


def test_the_split_file_gives_test_and_its_training_part_is_divided(
    faces: Path, photo: Callable[..., NDArray[np.uint8]]
) -> None:
    folder = faces / "utkface"
    for number in range(20, 40):
        Image.fromarray(photo(number)).save(folder / f"80_1_0_copy{number}.jpg")
    parts = filed(faces)
    names = names_of(faces)
    expected = {row for row, name in enumerate(names) if parts[name] == "validation"}
    for seed in range(5):
        bundle = load(faces, seed=seed, validation=0.25)
        rows = rows_of(bundle)
        assert rows["test"] == expected
        assert rows["train"] | rows["validation"] == set(range(60)) - expected
        assert 12 <= len(rows["validation"]) <= 14
        for number in range(20, 40):
            original = next(n for n in names if n.startswith(f"{20 + number}_"))
            pair = {names.index(original), names.index(f"80_1_0_copy{number}.jpg")}
            assert pair <= rows["train"] or pair <= rows["validation"]
        assert bundle.warnings == ()


def test_duplicates_torn_by_the_split_file_are_counted_not_moved(
    faces: Path, photo: Callable[..., NDArray[np.uint8]]
) -> None:
    Image.fromarray(photo(0)).save(faces / "utkface" / "99_0_0_copy.jpg")
    filed(faces)
    bundle = load(faces)
    assert len(bundle.test) == 10
    (warning,) = bundle.warnings
    assert "1 of 31 training photos are near-duplicates of test photos" in warning


def test_files_and_rows_without_a_partner_are_named(faces: Path) -> None:
    parts = filed(faces)
    lost = names_of(faces)[20]
    del parts[lost]
    write_split(faces, {**parts, "50_0_0_gone.jpg": "training"})
    bundle = load(faces)
    assert sum(len(part) for part in parts_of(bundle).values()) == 39
    missing, extra = bundle.warnings
    assert f"not in this file: 1 ({lost})" in missing
    assert "readable photos: 1 (50_0_0_gone.jpg)" in extra


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,part\na,training\n", "line 2"),
        ("file,split\na,training\nb,tests\n", "line 3: file 'b', split 'tests'"),
        ("file,split\na,training\na,validation\n", "'a' in both parts"),
        ("file,split\na\n", "line 2"),
        ("", "each part needs at least one image"),
    ],
)
def test_a_wrong_split_file_is_refused(faces: Path, content: str, message: str) -> None:
    (faces / "utkface_split.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        load(faces)
    assert len(load(faces, split="seeded").test) == 6


def test_a_split_file_may_have_the_mark_of_spreadsheets(faces: Path) -> None:
    write_split(faces, filed(faces))
    file, plain = faces / "utkface_split.csv", load(faces)
    file.write_text(file.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert load(faces).fingerprint == plain.fingerprint


def test_a_split_file_that_is_asked_for_must_exist(faces: Path) -> None:
    with pytest.raises(DataError, match=r"utkface_split\.csv: columns"):
        load(faces, split="file")


def test_missing_empty_and_unreadable_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"utkface: .*; found no such folder; "):
        load(tmp_path)
    folder = tmp_path / "utkface"
    folder.mkdir()
    with pytest.raises(DataError, match=r"utkface: photos named .*; found 0 entries.*; put "):
        load(tmp_path)
    (folder / "30_1_0_1.jpg").write_bytes(b"no photo")
    with pytest.raises(DataError, match=r"can be decoded is needed; found 1 that cannot.*; fetch"):
        load(tmp_path)


def test_fraction_thins_train_only(faces: Path) -> None:
    whole, tenth = rows_of(load(faces, **SHARES)), rows_of(load(faces, fraction=0.25, **SHARES))
    assert len(tenth["train"]) == 6
    assert tenth["train"] < whole["train"]
    assert tenth["validation"] == whole["validation"]
    assert tenth["test"] == whole["test"]


def test_the_split_does_not_depend_on_the_size(faces: Path) -> None:
    small, large = load(faces, size=16), load(faces, size=24)
    assert rows_of(small) == rows_of(large)
    assert small.fingerprint != large.fingerprint
    assert load(faces, size=16).fingerprint == small.fingerprint
    assert load(faces, size=16, seed=1).fingerprint != small.fingerprint


@pytest.mark.parametrize(
    "wrong", [{"size": 7}, {"seed": -1}, {"validation": 0.0}, {"test": 1.0}, {"split": "files"}]
)
def test_impossible_options(faces: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        load(faces, **wrong)
