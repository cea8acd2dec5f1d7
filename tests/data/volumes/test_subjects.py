"""Subjects are found by patterns; what does not fit together is said with the subject's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfg_nas.data.volumes.subjects import find_subjects
from sfg_nas.errors import ConfigError, DataError

OWN_FOLDERS = {"mr": "{subject}/mr.nii", "ct": "{subject}/ct.nii", "labels": "{subject}/l.nii"}


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_a_folder_for_each_subject(tmp_path: Path) -> None:
    touch(tmp_path, "b/mr.nii", "b/ct.nii", "a/mr.nii", "a/l.nii", "a/notes.txt", "c.nii")
    first, second = find_subjects(tmp_path, OWN_FOLDERS)
    assert (first.name, second.name) == ("a", "b")
    assert first.ct is None
    assert second.labels is None
    assert first.paths == (tmp_path / "a/mr.nii", tmp_path / "a/l.nii")


def test_a_folder_for_each_kind_and_names_that_repeat(tmp_path: Path) -> None:
    touch(tmp_path, "T2/p1.x_T2.nii.gz", "CT/p1.x_CT.nii.gz", "T2/p2_T2.nii.gz")
    found = find_subjects(
        tmp_path,
        {"mr": "T2/{subject}_T2.nii.gz", "ct": "CT/{subject}_CT.nii.gz", "labels": None},
    )
    assert [subject.name for subject in found] == ["p1.x", "p2"]
    touch(tmp_path, "q1/q1_mr.nii", "q2/other_mr.nii")
    repeated = {"mr": "{subject}/{subject}_mr.nii", "ct": None, "labels": None}
    assert [s.name for s in find_subjects(tmp_path, repeated)] == ["q1"]
    anything = {"mr": "{subject}/*_mr.nii", "ct": None, "labels": None}
    assert [s.name for s in find_subjects(tmp_path, anything)] == ["q1", "q2"]


def test_what_is_wrong(tmp_path: Path) -> None:
    touch(tmp_path, "a/mr.nii", "b/ct.nii")
    with pytest.raises(DataError, match=r"subject b: .*b/mr\.nii: each subject needs an MR"):
        find_subjects(tmp_path, OWN_FOLDERS)
    with pytest.raises(DataError, match=r"must match .{subject}\.img"):
        find_subjects(tmp_path, {"mr": "{subject}.img", "ct": None, "labels": None})
    touch(tmp_path, "a/mr2.nii")
    with pytest.raises(DataError, match=r"subject a: mr: one file must match"):
        find_subjects(tmp_path, {"mr": "{subject}/mr*.nii", "ct": None, "labels": None})
    for pattern in ("mr.nii", "/{subject}.nii", "../{subject}.nii", "**/{subject}.nii", 3):
        with pytest.raises(ConfigError, match=r"data\.mr: a pattern"):
            find_subjects(tmp_path, {"mr": pattern, "ct": None, "labels": None})  # type: ignore[dict-item]
