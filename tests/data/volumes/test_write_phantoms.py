"""The folder of phantoms: real NIfTI files in a space of their own."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from sfg_nas.data.volumes import write_phantoms
from sfg_nas.errors import ConfigError


def test_files_share_a_grid_and_a_space(tmp_path: Path) -> None:
    folders = write_phantoms(tmp_path / "made", 2, size=32)
    assert [folder.name for folder in folders] == ["phantom-01", "phantom-02"]
    for folder in folders:
        mr, ct, labels = (nibabel.load(folder / f"{n}.nii.gz") for n in ("mr", "ct", "labels"))
        assert mr.shape == ct.shape == labels.shape == (32, 24, 8)
        assert np.allclose(mr.affine, ct.affine)
        assert nibabel.aff2axcodes(mr.affine) == ("L", "P", "S")
        assert np.allclose(nibabel.affines.voxel_sizes(mr.affine), (12, 12, 18))
        assert not np.allclose(mr.affine, np.diag(np.diag(mr.affine)))  # turned
        assert mr.header.get_xyzt_units()[0] == "mm"
        assert labels.get_data_dtype() == np.uint8
        assert set(np.unique(labels.dataobj)) == set(range(7))
        assert np.asarray(ct.dataobj).min() < -900
    assert "no patient" in (tmp_path / "made" / "README.txt").read_text(encoding="utf-8")


def test_a_subject_depends_on_the_seed_and_its_number_only(tmp_path: Path) -> None:
    for name, subjects, seed in (("few", 1, 5), ("many", 2, 5), ("other", 1, 6)):
        write_phantoms(tmp_path / name, subjects, seed=seed, size=32)
    few, many, other = (
        np.asarray(nibabel.load(tmp_path / name / "phantom-01" / "mr.nii.gz").dataobj)
        for name in ("few", "many", "other")
    )
    assert np.array_equal(few, many)
    assert not np.array_equal(few, other)


@pytest.mark.parametrize("wrong", [{"subjects": 0}, {"size": 31}, {"seed": -1}])
def test_impossible_numbers(tmp_path: Path, wrong: dict[str, int]) -> None:
    arguments = {"subjects": 1, **wrong}
    with pytest.raises(ConfigError):
        write_phantoms(tmp_path, arguments.pop("subjects"), **arguments)
