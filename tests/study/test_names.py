"""A table's study: its errors among the others, with lines; its paths; its run."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfg_nas.errors import ConfigError
from sfg_nas.study import load_study
from sfg_nas.study.names import known_names, read_study

STUDY = """\
name: own
data:
  kind: table
  table: labels.csv
  tasks:
    age: {kind: regression, column: years}
    mood: {kind: classification}
tasks: {agee: {}}
backbone: {kind: vgg12}
search: {space: {}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "labels.csv").write_text("file,yeers\na.png,old\nb.png,3\n", encoding="utf-8")
    return tmp_path


def test_errors_of_study_and_table_come_together(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_study(folder / "study.yaml")
    said = str(caught.value)
    assert "study.yaml:6: data.tasks.age.column: " in said
    assert "found `years`; did you mean `yeers`? (the columns here are file, yeers)" in said
    assert "study.yaml:7: data.tasks.mood: a column of the table is needed; found `mood`" in said
    assert "study.yaml:8: tasks.agee: " in said
    assert "did you mean `age`?" in said
    assert "study.yaml:9: backbone.kind: " in said


def test_wrong_cells_are_named_with_their_line(folder: Path) -> None:
    text = STUDY.replace("column: years", "column: yeers").replace("agee", "age")
    path = folder / "study.yaml"
    path.write_text(text.replace("    mood: {kind: classification}\n", ""), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"labels\.csv: line 2: yeers: a finite number"):
        load_study(path)


def test_a_table_is_read_once_per_study(folder: Path) -> None:
    names = known_names(folder)
    assert names.inspect is not None
    section = {"kind": "table", "table": "labels.csv", "tasks": {"age": {"kind": "regression"}}}
    first = names.inspect(section)
    (folder / "labels.csv").unlink()
    assert names.inspect(section) is first
    assert known_names(folder).inspect(section) != first  # type: ignore[misc]


def test_a_run_remembers_the_folder_of_its_study(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "own" / "study.yaml"
    run.parent.mkdir(parents=True)
    run.write_text(STUDY + f"provenance: {{folder: {folder}}}\n", encoding="utf-8")
    document, found = read_study(run)
    assert found == folder
    assert "provenance" not in (document.value or {})
    run.write_text(STUDY + "provenance: {folder: /gone}\n", encoding="utf-8")
    assert read_study(run)[1] == run.parent
