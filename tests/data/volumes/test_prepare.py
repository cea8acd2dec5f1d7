"""Onto the common grid and back, the body mask, normalised intensities."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from sfg_nas.data.volumes.files import write_volume
from sfg_nas.data.volumes.phantom import make_anatomy
from sfg_nas.data.volumes.prepare import (
    body_mask,
    on_common_grid,
    on_grid_of,
    prepare_mr,
    prepare_subject,
    spacing_of,
)
from sfg_nas.data.volumes.scans import scan_mr
from sfg_nas.data.volumes.subjects import SubjectFiles
from sfg_nas.errors import DataError

ORIENTATIONS = ["RAS", "LPS", "ASL", "SPR", "PIR"]


def ramp(axes: str, sizes: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return a volume that holds each voxel's place x + 10 y + 100 z in mm, stored along given axes."""
    ornt = nibabel.orientations.axcodes2ornt(tuple(axes))
    affine = np.zeros((4, 4))
    for column, (axis, sign) in enumerate(ornt):
        affine[int(axis), column] = sign * sizes[int(axis)]
    affine[3, 3], affine[:3, 3] = 1, (5, -7, 11)
    shape = (6, 7, 8)
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    world = nibabel.affines.apply_affine(affine, places)
    return (world @ np.array([1, 10, 100])).astype(np.float32), affine


@pytest.mark.parametrize("axes", ORIENTATIONS)
@pytest.mark.parametrize("spacing", [(2.0, 3.0, 4.0), (1.0, 2.0, 6.0)])
def test_places_in_space_stay_what_they_are(axes: str, spacing: tuple[float, ...]) -> None:
    values, affine = ramp(axes, (2.0, 3.0, 4.0))
    found, place = on_common_grid(values, affine, spacing)
    assert nibabel.aff2axcodes(place) == ("R", "A", "S")
    assert np.allclose(nibabel.affines.voxel_sizes(place), spacing)
    places = np.stack(np.meshgrid(*map(np.arange, found.shape), indexing="ij"), -1)
    wanted = nibabel.affines.apply_affine(place, places) @ np.array([1, 10, 100])
    inner = (slice(1, -1),) * 3
    assert np.allclose(found[inner], wanted[inner], atol=0.05)
    back = on_grid_of(found, place, values.shape, affine)
    assert np.allclose(back[2:-2, 2:-2, 2:-2], values[2:-2, 2:-2, 2:-2], atol=0.05)


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_labels_come_back_exactly(axes: str) -> None:
    _, affine = ramp(axes, (2.0, 2.0, 2.0))
    labels = np.random.default_rng(0).integers(0, 5, (6, 7, 8)).astype(np.float32)
    found, place = on_common_grid(labels, affine, (2.0, 2.0, 2.0), nearest=True)
    assert np.array_equal(on_grid_of(found, place, labels.shape, affine, nearest=True), labels)


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_spacing_of_a_file(axes: str, tmp_path: Path) -> None:
    values, affine = ramp(axes, (2.0, 3.0, 4.0))
    write_volume(tmp_path / "a.nii", values, affine)
    assert spacing_of(tmp_path / "a.nii", "a") == pytest.approx((2, 3, 4))


@pytest.mark.parametrize("seed", range(4))
def test_the_body_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    anatomy = make_anatomy(rng, 64)
    true, found = anatomy.tissues > 0, body_mask(scan_mr(rng, anatomy))
    assert 2 * (true & found).sum() / (true.sum() + found.sum()) > 0.95
    assert (found & (anatomy.labels > 0)).sum() > 0.97 * (anatomy.labels > 0).sum()


def test_intensities_do_not_depend_on_the_scanner_s_units() -> None:
    rng = np.random.default_rng(0)
    mr, affine = scan_mr(rng, make_anatomy(rng, 48)), np.diag([8.0, 8, 12, 1])
    one = prepare_mr(mr, affine, (8, 8, 12), "s", Path("mr.nii"))
    other = prepare_mr(3 * mr, affine, (8, 8, 12), "s", Path("mr.nii"))
    assert one.values[one.body].mean() == pytest.approx(0, abs=1e-3)
    assert one.values[one.body].std() == pytest.approx(1, abs=1e-3)
    assert np.allclose(one.values, other.values, atol=1e-3)
    assert (one.values[~one.body] == one.values.min()).all()
    with pytest.raises(DataError, match=r"subject s: mr\.nii: an MR that shows a body"):
        prepare_mr(np.ones_like(mr), affine, (8, 8, 12), "s", Path("mr.nii"))
    with pytest.raises(DataError, match=r"subject s: mr\.nii: at most .* voxels of 8 x 8 x 12 mm"):
        prepare_mr(mr, affine * 1000, (8, 8, 12), "s", Path("mr.nii"))


@pytest.mark.parametrize(
    ("label", "words"),
    [(0.0, "at least one label"), (0.5, "whole numbers"), (-1.0, "whole numbers")],
)
def test_labels_must_be_labels(label: float, words: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mr, affine = scan_mr(rng, make_anatomy(rng, 32)), np.diag([12.0, 12, 18, 1])
    write_volume(tmp_path / "mr.nii", mr, affine)
    write_volume(tmp_path / "labels.nii", np.full(mr.shape, label, dtype=np.float32), affine)
    files = SubjectFiles("p3", tmp_path / "mr.nii", None, tmp_path / "labels.nii")
    with pytest.raises(DataError, match=rf"subject p3: .*labels\.nii: .*{words}"):
        prepare_subject(files, (12, 12, 18))
