"""Back to a file's own space, without what its header may say about a patient."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from sfg_nas.data.volumes import read_scan
from sfg_nas.errors import DataError


@pytest.mark.parametrize("spacing", [(8.0, 8.0, 12.0), (5.0, 9.0, 7.0)])
def test_ct_and_labels(made: Path, tmp_path: Path, spacing: tuple[float, float, float]) -> None:
    folder = made / "volumes" / "phantom-01"
    scan = read_scan(folder / "mr.nii.gz", spacing)
    mask = scan.prepared.body.copy()
    scan.write("ct", np.full(mask.shape, 345.6, np.float32), {"a": 7}, tmp_path / "ct.nii.gz")
    scan.write("organs", np.ones(mask.shape, np.uint8), {"a": 7}, tmp_path / "organs.nii.gz")
    own = nibabel.load(folder / "mr.nii.gz")
    body = np.asarray(nibabel.load(folder / "labels.nii.gz").dataobj) > 0
    for name, inside, outside in (("ct", 346, -1000), ("organs", 7, 0)):
        found = nibabel.load(tmp_path / f"{name}.nii.gz")
        values = np.asarray(found.dataobj)
        assert values.dtype == np.int16
        assert np.allclose(found.affine, own.affine, atol=1e-4)
        assert (values[body] == inside).mean() > 0.85
        assert values[0, 0, 0] == outside


def test_headers_are_kept_without_words(made: Path, tmp_path: Path) -> None:
    image = nibabel.load(made / "volumes" / "phantom-02" / "mr.nii.gz")
    image.header["descrip"] = b"Doe, Jane"
    image.header.set_xyzt_units("mm", "sec")
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"Doe, Jane"))
    nibabel.save(image, tmp_path / "mr.nii")
    scan = read_scan(tmp_path / "mr.nii", (8.0, 8.0, 12.0))
    scan.write("ct", np.zeros(scan.prepared.body.shape, np.float32), {"a": 1}, tmp_path / "o.nii")
    assert nibabel.load(tmp_path / "o.nii").header.get_xyzt_units() == ("mm", "sec")
    assert b"Doe" not in (tmp_path / "o.nii").read_bytes()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.nii").write_bytes(b"no volume")
    with pytest.raises(DataError, match=r"x\.nii"):
        read_scan(tmp_path / "x.nii", (1.0, 1.0, 1.0))
