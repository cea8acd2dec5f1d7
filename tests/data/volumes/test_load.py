"""The data set as a whole: parts by subject, missing files, and messages that name the subject."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from sfg_nas.data import load_data
from sfg_nas.data.volumes.load import split_subjects
from sfg_nas.errors import ConfigError, DataError

SMALL = {"patch": [16, 16], "patches": 12, "validation": 1, "folds": 3}


def change(path: Path, function: object) -> None:
    image = nibabel.load(path)
    values, affine = function(np.asarray(image.dataobj).copy(), image.affine.copy())  # type: ignore[operator]
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


def test_the_whole(made: Path, tmp_path: Path) -> None:
    data = load_data("volumes", root=made, cache=tmp_path, **SMALL)
    assert [task.name for task in data.tasks] == ["ct", "organs"]
    ct, organs = data.tasks
    assert ct.classes == ("bone", "prostate", "bladder", "rectum")
    assert ct.unit == "HU"
    assert ct.likelihood == "laplace"
    assert -100 < ct.center < 200 < ct.scale < 600
    assert organs.classes[0] == "background"
    assert data.image_shape == (1, 16, 16)
    assert data.volumes is not None
    assert data.volumes.spacing == pytest.approx((8, 8, 12), rel=1e-3)
    assert data.warnings == ()
    names = [{s.name for s in part.subjects} for part in (data.train, data.validation, data.test)]
    assert [len(n) for n in names] == [3, 1, 2]
    assert len(set.union(*names)) == 6
    same = load_data("volumes", root=made, cache=tmp_path, **SMALL)
    other = load_data("volumes", root=made, cache=tmp_path, **{**SMALL, "fold": 1})
    assert data.fingerprint == same.fingerprint != other.fingerprint


def test_volumes_are_not_whitened(made: Path, tmp_path: Path) -> None:
    data = load_data("volumes", root=made, cache=tmp_path, **SMALL)
    with pytest.raises(ConfigError, match="normalised within the body already"):
        data.whitened()


def test_every_subject_is_tested_in_one_fold() -> None:
    for count, folds in ((15, 5), (16, 5), (7, 7)):
        parts = [
            split_subjects(count, folds=folds, fold=fold, validation=2, seed=4)
            for fold in range(folds)
        ]
        assert sorted(row for part in parts for row in part["test"]) == list(range(count))
        for part in parts:
            assert sorted(part["train"] + part["validation"] + part["test"]) == list(range(count))
            assert len(part["validation"]) == 2
    with pytest.raises(ConfigError, match="leave some for training"):
        split_subjects(4, folds=2, fold=0, validation=2, seed=0)
    with pytest.raises(ConfigError, match="0 <= fold < 3"):
        split_subjects(9, folds=3, fold=3, validation=1, seed=0)


def test_an_organ_that_no_training_subject_has_is_named(made: Path, tmp_path: Path) -> None:
    options = {**SMALL, "organs": {"bone": 1, "spleen": 77, "liver": 78}}
    (said,) = load_data("volumes", root=made, cache=tmp_path, **options).warnings
    assert "no label map of the training part holds spleen (77), liver (78)" in said


def test_missing_ct_and_labels_are_masked(root: Path, tmp_path: Path) -> None:
    folder = root / "volumes"
    for number in (1, 2, 3):
        (folder / f"phantom-0{number}" / "ct.nii.gz").unlink()
    for number in (3, 4):
        (folder / f"phantom-0{number}" / "labels.nii.gz").unlink()
    data = load_data("volumes", root=root, cache=tmp_path, **SMALL)
    assert len(data.warnings) == 2
    assert "phantom-01, phantom-02, phantom-03" in data.warnings[0]
    seen = set()
    for part in (data.train, data.validation, data.test):
        for place, subject in enumerate(part.subjects):
            _, targets = next(
                type(part)((subject,), part.patch, part.organs, count=4).batches(4, seed=place)
            )
            has_ct, has_labels = subject.ct is not None, subject.labels is not None
            assert bool((~targets["ct"][:, 0].isnan()).any()) == has_ct
            assert bool((targets["organs"] >= 0).any()) == has_labels
            seen.add((has_ct, has_labels))
            for task in data.tasks:
                output = torch.zeros(4, task.outputs, *part.patch, requires_grad=True)
                task.loss(output, targets[task.name]).backward()
                known = has_ct if task.name == "ct" else has_labels
                assert output.grad is not None
                assert bool(output.grad.any()) == known
    assert seen == {(True, True), (True, False), (False, True), (False, False)}


def test_one_task_alone(root: Path, tmp_path: Path) -> None:
    alone = load_data("volumes", root=root, cache=tmp_path, labels=None, **SMALL)
    assert [task.name for task in alone.tasks] == ["ct"]
    alone = load_data("volumes", root=root, cache=tmp_path, ct=None, **SMALL)
    assert [task.name for task in alone.tasks] == ["organs"]
    for path in root.glob("volumes/*/ct.nii.gz"):
        path.unlink()
    with pytest.raises(DataError, match="volumes: ct: at least one training subject"):
        load_data("volumes", root=root, cache=tmp_path, **SMALL)


def test_everything_wrong_is_said_at_once(root: Path, tmp_path: Path) -> None:
    folder = root / "volumes"

    def moved(values: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        affine[0, 3] += 30
        return values, affine

    def spoiled(values: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values = values.astype(np.float32)
        values[5, 5, 5] = np.nan
        return values, affine

    change(folder / "phantom-01" / "ct.nii.gz", moved)
    change(folder / "phantom-02" / "mr.nii.gz", spoiled)
    change(folder / "phantom-03" / "labels.nii.gz", lambda v, a: (0 * v, a))
    change(folder / "phantom-04" / "labels.nii.gz", lambda v, a: (v[1:], a))
    (folder / "phantom-05" / "mr.nii.gz").write_bytes(b"no volume")
    change(folder / "phantom-06" / "labels.nii.gz", lambda v, a: (v * 10, a))
    with pytest.raises(DataError) as error:
        load_data("volumes", root=root, cache=tmp_path, **SMALL)
    lines = str(error.value).splitlines()
    words = ["another place", "NaN", "only zeros", "voxels where", "NIfTI file", "bone 1"]
    assert len(lines) == 6
    for number, (line, word) in enumerate(zip(lines, words, strict=True), start=1):
        assert line.startswith(f"subject phantom-0{number}: ")
        assert word in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"patch": [16]}, "patch of two or three"),
        ({"patch": 16}, "patch of two or three"),
        ({"size": 16}, "not both"),
        ({"spacing": [1, 2]}, "spacing of three"),
        ({"organs": {"bone": 0}}, "organs with different numbers"),
        ({"organs": {"a": 1, "b": 1}}, "organs with different numbers"),
        ({"organs": {}}, "organs with different numbers"),
        ({"synthesis": "l3"}, "synthesis"),
        ({"mr": "mr.nii"}, "{subject}"),
        ({"patches": 0}, "patches"),
        ({"fold": 9}, "fold"),
        ({"ct": None, "labels": None}, "a pattern of CT files"),
        ({"contrast": 1}, "contrast"),
    ],
)
def test_impossible_options(
    made: Path, tmp_path: Path, options: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load_data("volumes", root=made, cache=tmp_path, **{**SMALL, **options})
    assert words in str(error.value)


def test_a_missing_extra_is_named(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "monai.transforms", None)
    with pytest.raises(ConfigError, match=r"pip install 'sfg_nas\[medical\]'"):
        load_data("volumes", root=made, cache=tmp_path, **SMALL)
