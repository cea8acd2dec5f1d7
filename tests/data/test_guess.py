"""What a table that nobody described seems to hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfg_nas.data import guess_table, read_table
from sfg_nas.data.guess import TableGuess
from sfg_nas.errors import DataError
from sfg_nas.groups import Groups

COUNT = 60


def columns() -> dict[str, list[str]]:
    """Return columns of which each is an example of one rule."""
    rows = range(COUNT)
    return {
        "row_id": [str(i) for i in rows],
        "photo": [f"p/{i}.png" for i in rows],
        "Patient": [f"p{i // 4}" for i in rows],
        "split": [("train", "val", "test")[i % 3] for i in rows],
        "age": [f"{20 + i}" if i % 9 else "" for i in rows],
        "size (mm)": [f"{i / 7:.3f}" for i in rows],
        "lesion": ["yes" if i % 10 == 0 else "no" for i in rows],
        "stage": [str(i % 4) for i in rows],
        "pain": [("Mild", "none", "SEVERE", "moderate")[i % 4] for i in rows],
        "findings": [("a;b", "b", "none", "c|a")[i % 4] for i in rows],
        "colour": [("red", "blue", "green")[i % 3] for i in rows],
        "note": [f"text number {i}" for i in rows],
        "site": ["x"] * COUNT,
        "mask": [f"m/{i}.png" for i in rows],
    }


def guess(folder: Path, table: dict[str, list[str]]) -> TableGuess:
    lines = [",".join(table), *map(",".join, zip(*table.values(), strict=True))]
    path = folder / "t.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return guess_table(read_table(path))


def test_each_column_by_its_rule(tmp_path: Path) -> None:
    found = guess(tmp_path, columns())
    assert (found.image, found.split, found.group) == ("photo", "split", "Patient")
    entries = {task.name: task.entry for task in found.tasks}
    assert entries == {
        "age": {"kind": "regression", "column": "age", "unit": "years"},
        "size_(mm)": {"kind": "regression", "column": "size (mm)", "unit": "mm"},
        "lesion": {"kind": "classification", "column": "lesion", "class_weights": "balanced"},
        "stage": {"kind": "classification", "column": "stage"},
        "pain": {
            "kind": "ordinal", "column": "pain", "classes": ["none", "Mild", "moderate", "SEVERE"],
        },
        "findings": {"kind": "multi-label", "column": "findings"},
        "colour": {"kind": "classification", "column": "colour"},
    }  # fmt: skip
    assert {left.name for left in found.left_out} == {"row_id", "note", "site", "mask"}
    assert all(guess.why for guess in (*found.tasks, *found.left_out))


def test_many_flags_are_one_task(tmp_path: Path) -> None:
    table = {name: own for name, own in columns().items() if name in ("photo", "age")}
    for k in range(5):
        table[f"f{k}"] = [str((i + k) % 2 * 2 - 1) for i in range(COUNT)]
    found = guess(tmp_path, table)
    assert found.tasks[0].entry == {"kind": "multi-label", "columns": [f"f{k}" for k in range(5)]}
    assert [task.name for task in found.tasks] == ["labels", "age"]


def test_what_is_no_label_is_said_why(tmp_path: Path) -> None:
    rows = range(COUNT)
    table = {
        "": [str(i) for i in rows],
        "File": [f"p/{i}.png" for i in rows],
        "age": ["unknown" if i == 3 else str(20 + i) for i in rows],
        "taken": [f"2020-01-{1 + i % 28:02}" for i in rows],
        "kind": [("a", "b")[i % 2] for i in rows],
        "plate": [f"{i}_{i}" for i in rows],
    }
    found = guess(tmp_path, table)
    assert found.image == "File"
    assert [task.name for task in found.tasks] == ["kind"]
    why = {left.name: left.why for left in found.left_out}
    assert "a name, not a label" in why[""]
    assert "also 'unknown': empty these cells" in why["age"]
    assert "dates" in why["taken"]
    assert "classes that occur more than once" in why["plate"]


def test_tables_without_images_or_labels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="paths of images"):
        guess(tmp_path, {"age": ["1", "2"]})
    with pytest.raises(DataError, match="column with labels is needed; found id: a different"):
        guess(tmp_path, {"file": ["a.png", "b.png"], "id": ["1", "2"]})


@pytest.mark.parametrize(
    "name", ["Patient ID", "subject-no", "person", "CASE_ID", "Participant number"]
)
def test_rows_of_one_person_are_kept_together(tmp_path: Path, name: str) -> None:
    rows = range(8)
    table = {"file": [f"{i}.png" for i in rows], name: [f"P{i // 2}" for i in rows]}
    found = guess(tmp_path, table | {"age": [str(i) for i in rows]})
    assert found.group == name
    assert [task.name for task in found.tasks] == ["age"]


def test_no_two_tasks_have_one_name(tmp_path: Path) -> None:
    numbers = [f"{i / 7:.3f}" for i in range(COUNT)]
    names = ["a.b", "a b", "a_b", "a_b_2", "labels", "all", "a@b", "weight\u200b"]
    flags = {name: [str(i % 2) for i in range(COUNT)] for name in "pqrs"}
    table = {"file": [f"{i}.png" for i in range(COUNT)], **dict.fromkeys(names, numbers), **flags}
    found = guess(tmp_path, table).tasks
    wanted = ["labels", "a_b", "a_b_2", "a_b_3", "a_b_2_2", "labels_2", "all_", "a_b_4", "weight"]
    assert [task.name for task in found] == wanted
    assert Groups.specialists(wanted).tasks == tuple(wanted)  # a study refuses other names
    assert [task.entry["column"] for task in found[1:]] == names
