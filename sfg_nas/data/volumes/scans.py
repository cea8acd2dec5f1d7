"""How a phantom looks on a T2-weighted MR and on a CT.

On the MR, cortical bone and gas are both dark, and marrow, fat and urine all bright; a bias field and a gain of its own
for each scan move every tissue. So no function of a voxel's own MR value gives its CT value: what a voxel is shows in
what lies around it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sfg_nas.data.volumes.phantom import Anatomy, Floats, Tissue, smooth_field

_MR = {
    Tissue.OUTSIDE: 0.0,
    Tissue.FAT: 0.68,
    Tissue.MUSCLE: 0.26,
    Tissue.CORTICAL: 0.03,
    Tissue.MARROW: 0.64,
    Tissue.PROSTATE: 0.50,
    Tissue.BLADDER: 0.92,
    Tissue.RECTUM_WALL: 0.36,
    Tissue.STOOL: 0.42,
    Tissue.GAS: 0.01,
}
"""Signal of a T2-weighted spin echo, as a share of the brightest."""
_CT = {
    Tissue.OUTSIDE: -1000.0,
    Tissue.FAT: -100.0,
    Tissue.MUSCLE: 52.0,
    Tissue.CORTICAL: 1150.0,
    Tissue.MARROW: 260.0,
    Tissue.PROSTATE: 42.0,
    Tissue.BLADDER: 8.0,
    Tissue.RECTUM_WALL: 38.0,
    Tissue.STOOL: 45.0,
    Tissue.GAS: -960.0,
}
"""Mean attenuation in HU."""
_CT_TEXTURE = {
    Tissue.FAT: 12.0,
    Tissue.MUSCLE: 10.0,
    Tissue.CORTICAL: 100.0,
    Tissue.MARROW: 60.0,
    Tissue.PROSTATE: 8.0,
    Tissue.STOOL: 40.0,
}
"""Standard deviation in HU of the variation within a tissue."""
AIR = -1000.0
"""Attenuation of air in HU: what a CT shows outside the body."""


def scan_mr(rng: np.random.Generator, anatomy: Anatomy) -> Floats:
    """Return a T2-like MR in a scanner's arbitrary units, `[X, Y, Z]`: bias field, blur and Rician noise.

    Args:
        rng: Source of what differs between scans.
        anatomy: What is scanned.
    """
    tissues = anatomy.tissues
    signal = _paint(_MR, tissues)
    signal *= 1 + 0.10 * _field(rng, anatomy, 12.0) + 0.05 * _field(rng, anatomy, 5.0)
    # The periphery of the prostate is brighter than its centre.
    prostate = tissues == Tissue.PROSTATE
    depth = ndimage.distance_transform_edt(prostate, sampling=anatomy.spacing)
    signal[prostate & (depth < 6)] *= 1.35
    signal = ndimage.gaussian_filter(signal, [1.2 / step for step in anatomy.spacing])
    signal *= np.exp(0.22 * _field(rng, anatomy, 110.0))
    noise = rng.uniform(0.015, 0.03)
    real, imaginary = (noise * rng.standard_normal(signal.shape) for _ in range(2))
    scan = np.hypot(signal + real, imaginary) * rng.uniform(500, 1500)
    return np.asarray(scan, dtype=np.float32)


def scan_ct(rng: np.random.Generator, anatomy: Anatomy) -> Floats:
    """Return a CT in HU, `[X, Y, Z]`: a texture of its own in each tissue, blur and correlated noise.

    Args:
        rng: Source of what differs between scans.
        anatomy: What is scanned.
    """
    tissues = anatomy.tissues
    values = _paint(_CT, tissues)
    values += _paint(_CT_TEXTURE, tissues) * _field(rng, anatomy, 7.0)
    values = ndimage.gaussian_filter(values, [0.8 / step for step in anatomy.spacing])
    noise = ndimage.gaussian_filter(rng.standard_normal(values.shape), (0.7, 0.7, 0))
    values += 14.0 * noise / noise.std()
    return np.asarray(np.clip(values, -1024, 3071), dtype=np.float32)


def _paint(table: dict[Tissue, float], tissues: NDArray[np.uint8]) -> Floats:
    values = np.zeros(len(Tissue), dtype=np.float32)
    for tissue, value in table.items():
        values[tissue] = value
    return values[tissues]


def _field(rng: np.random.Generator, anatomy: Anatomy, reach: float) -> Floats:
    sigma = tuple(reach / step for step in anatomy.spacing)
    return smooth_field(rng, anatomy.tissues.shape, sigma)
