"""Scans of phantoms: what each tissue looks like, and that a voxel's own MR value does not tell its CT value."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.ensemble import HistGradientBoostingRegressor

from sfg_nas.data.volumes.phantom import Anatomy, Tissue, make_anatomy
from sfg_nas.data.volumes.scans import scan_ct, scan_mr

Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def scans() -> list[tuple[Anatomy, Array, Array]]:
    made = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        anatomy = make_anatomy(rng, 64)
        made.append((anatomy, scan_mr(rng, anatomy), scan_ct(rng, anatomy)))
    return made


def deep(anatomy: Anatomy, tissue: Tissue) -> NDArray[np.bool_]:
    """Return a tissue's voxels, without those on its border where there are others."""
    whole: NDArray[np.bool_] = anatomy.tissues == tissue
    inner = ndimage.binary_erosion(whole)
    return inner if inner.any() else whole


def test_tissues_look_as_they_should(scans: list[tuple[Anatomy, Array, Array]]) -> None:
    for anatomy, mr, ct in scans:
        hu = {tissue: float(ct[deep(anatomy, tissue)].mean()) for tissue in Tissue}
        signal = {tissue: float(mr[deep(anatomy, tissue)].mean()) for tissue in Tissue}
        assert hu[Tissue.OUTSIDE] == pytest.approx(-1000, abs=5)
        assert hu[Tissue.GAS] < -400 < hu[Tissue.FAT] < -50 < hu[Tissue.BLADDER] < 30
        assert hu[Tissue.MUSCLE] < 100 < hu[Tissue.MARROW] < hu[Tissue.CORTICAL]
        assert signal[Tissue.CORTICAL] < 0.5 * signal[Tissue.MUSCLE] < signal[Tissue.MUSCLE]
        assert signal[Tissue.GAS] < 0.6 * signal[Tissue.MUSCLE]
        assert min(signal[Tissue.FAT], signal[Tissue.BLADDER]) > signal[Tissue.MUSCLE]


def features(mr: Array) -> Array:
    """Return for each voxel its MR value and what lies around it."""
    scaled = mr / np.percentile(mr, 99)
    body = scaled > 0.08
    body = ndimage.binary_fill_holes(ndimage.binary_opening(body, iterations=1))
    maps = [scaled, ndimage.distance_transform_edt(body)]
    for sigma in (1.0, 2.0, 4.0):
        smooth = ndimage.gaussian_filter(scaled, sigma)
        spread = ndimage.gaussian_filter(scaled**2, sigma) - smooth**2
        maps += [smooth, spread]
    maps += list(np.meshgrid(*[np.linspace(-1, 1, side) for side in mr.shape], indexing="ij"))
    return np.stack(maps, axis=-1).astype(np.float32)


def test_no_look_up_of_single_voxels_comes_near_what_context_gives(
    scans: list[tuple[Anatomy, Array, Array]],
) -> None:
    """The best of all functions of a voxel's MR value, fitted to the very scan, against context learned on others."""
    rng = np.random.default_rng(0)
    inputs, targets = [], []
    for anatomy, mr, ct in scans[:-1]:
        inside = np.flatnonzero(anatomy.tissues != Tissue.OUTSIDE)
        chosen = rng.choice(inside, 8000, replace=False)
        inputs.append(features(mr).reshape(mr.size, -1)[chosen])
        targets.append(ct.ravel()[chosen])
    model = HistGradientBoostingRegressor(loss="absolute_error", max_iter=60, random_state=0)
    model.fit(np.concatenate(inputs), np.concatenate(targets))

    anatomy, mr, ct = scans[-1]
    inside = anatomy.tissues != Tissue.OUTSIDE
    values, wanted = mr[inside], ct[inside]
    context = np.abs(model.predict(features(mr)[inside]) - wanted)
    # A median within each of 256 equally full bins: no function of the value does better, up to its bin.
    bins = np.searchsorted(np.quantile(values, np.linspace(0, 1, 257)[1:-1]), values)
    medians = np.array([np.median(wanted[bins == b]) for b in range(256)])
    look_up = np.abs(medians[bins] - wanted)
    assert look_up.mean() > 1.25 * context.mean()
    dark = np.isin(anatomy.tissues[inside], (Tissue.CORTICAL, Tissue.GAS))
    assert look_up[dark].mean() > 1.5 * context[dark].mean()
