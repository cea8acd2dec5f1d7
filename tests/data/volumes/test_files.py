"""NIfTI files: what is wrong with one is said with the subject's name."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from sfg_nas.data.volumes.files import is_volume, read_like, read_volume, stem, write_volume
from sfg_nas.data.volumes.prepare import spacing_of
from sfg_nas.errors import DataError

AFFINE = np.diag([-1.5, -1.5, 3.0, 1.0])


def save(path: Path, values: NDArray[np.generic], affine: NDArray[np.float64] = AFFINE) -> Path:
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


def test_values_come_back_scaled_and_in_three_dimensions(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    image = nibabel.Nifti1Image(values, AFFINE)
    image.header.set_data_dtype(np.int16)
    image.header.set_slope_inter(0.5, -1)
    nibabel.save(image, tmp_path / "scaled.nii.gz")
    found, affine = read_volume(tmp_path / "scaled.nii.gz", "s")
    assert np.allclose(found, 0.5 * values - 1)
    assert np.allclose(affine, AFFINE)
    assert read_volume(save(tmp_path / "four.nii", values[..., None]), "s")[0].shape == (2, 3, 4)
    assert read_volume(save(tmp_path / "flat.nii", values[..., 0]), "s")[0].shape == (2, 3, 1)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_volume(tmp_path / "new" / "labels.nii.gz", labels, AFFINE)
    assert nibabel.load(tmp_path / "new" / "labels.nii.gz").get_data_dtype() == np.uint8
    found, affine = read_volume(tmp_path / "new" / "labels.nii.gz", "s")
    assert np.array_equal(found, labels)
    assert np.allclose(affine, AFFINE)


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e3), ("micron", 1e-3), ("mm", 1.0)])
def test_lengths_are_in_mm_whatever_the_header_s_unit(
    unit: str, factor: float, tmp_path: Path
) -> None:
    affine = AFFINE / np.array([[factor], [factor], [factor], [1.0]])
    image = nibabel.Nifti1Image(np.ones((2, 3, 4), dtype=np.float32), affine)
    image.header.set_xyzt_units(unit, "sec")
    nibabel.save(image, tmp_path / "scan.nii")
    values, found = read_volume(tmp_path / "scan.nii", "s")
    assert np.allclose(found, AFFINE)
    assert spacing_of(tmp_path / "scan.nii", "s") == pytest.approx((1.5, 1.5, 3.0))
    write_volume(tmp_path / "new.nii", values, found, nibabel.load(tmp_path / "scan.nii").header)
    assert np.allclose(read_volume(tmp_path / "new.nii", "s")[1], AFFINE)
    assert nibabel.load(tmp_path / "new.nii").header.get_xyzt_units() == ("mm", "sec")


def broken(folder: Path) -> dict[str, Path]:
    good = np.ones((3, 3, 3), dtype=np.float32)
    nan = good.copy()
    nan[0, 0, 0] = np.nan
    cut = save(folder / "cut.nii.gz", np.random.default_rng(0).normal(size=(20, 20, 20)))
    cut.write_bytes(cut.read_bytes()[:2000])
    text = folder / "text.nii"
    text.write_text("no volume", encoding="utf-8")
    singular = nibabel.Nifti1Image(good, None)
    singular.header["srow_x"], singular.header["sform_code"] = 0, 1
    nibabel.save(singular, folder / "singular.nii")
    return {
        "no such file": folder / "missing.nii",
        "NaN": save(folder / "nan.nii", nan),
        "(3, 3, 3, 2)": save(folder / "two.nii", np.stack([good, good], -1)),
        "Error": cut,
        "text.nii": text,
        "affine": folder / "singular.nii",
        "real numbers": save(folder / "complex.nii", good.astype(np.complex64)),
        "infinity": save(folder / "large.nii", good.astype(np.float64) * 1e300),
    }


def test_what_is_wrong_is_said_with_the_subject(tmp_path: Path) -> None:
    for word, path in broken(tmp_path).items():
        with pytest.raises(DataError, match=r"subject case-7: .*") as error:
            read_volume(path, "case-7")
        assert word in str(error.value), path
        assert len(str(error.value).splitlines()) == 1


def test_grids_must_agree(tmp_path: Path) -> None:
    values = np.ones((3, 4, 5), dtype=np.float32)
    moved = AFFINE.copy()
    moved[0, 3] = 2.0
    same = save(tmp_path / "same.nii", values)
    assert read_like(same, "s", Path("mr.nii"), (3, 4, 5), AFFINE).shape == (3, 4, 5)
    for path in (
        save(tmp_path / "moved.nii", values, moved),
        save(tmp_path / "small.nii", values[1:]),
    ):
        with pytest.raises(DataError, match=r"subject s: .*grid of mr\.nii"):
            read_like(path, "s", Path("mr.nii"), (3, 4, 5), AFFINE)


def test_names() -> None:
    assert is_volume(Path("a.NII.GZ"))
    assert not is_volume(Path("a.gz"))
    assert stem(Path("b/scan.1.nii.gz")) == "scan.1"
