"""The anatomy of a pelvis phantom: random shapes of bones, prostate, bladder, rectum, muscle and fat.

Phantoms, not patients: the shapes are ellipsoids, tubes and shells, bent by smooth random fields. What they keep of
real pelves is what makes synthesising a CT from an MR hard; see docs/phantoms.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

FIELD = (384.0, 288.0, 144.0)
"""Extent of a phantom's grid, left to right, back to front and bottom to top, in mm."""

SMALLEST = 32
"""Fewest voxels from left to right: coarser grids lose whole organs."""


class Tissue(IntEnum):
    """What a voxel is made of."""

    OUTSIDE = 0
    FAT = 1
    MUSCLE = 2
    CORTICAL = 3
    MARROW = 4
    PROSTATE = 5
    BLADDER = 6
    RECTUM_WALL = 7
    STOOL = 8
    GAS = 9


ORGANS = {"bone": 1, "prostate": 2, "bladder": 3, "rectum": 4, "muscle": 5, "fat": 6}
"""Organs by name, with their number in a phantom's label map; 0 is everything else."""

_LABELS = {
    Tissue.CORTICAL: "bone",
    Tissue.MARROW: "bone",
    Tissue.PROSTATE: "prostate",
    Tissue.BLADDER: "bladder",
    Tissue.RECTUM_WALL: "rectum",
    Tissue.STOOL: "rectum",
    Tissue.MUSCLE: "muscle",
    Tissue.FAT: "fat",
}


@dataclass(frozen=True, eq=False)
class Anatomy:
    """One phantom before it is scanned.

    Attributes:
        tissues: The `Tissue` of each voxel, `[X, Y, Z]`, axes to the right, the front and the head.
        labels: Numbers of `ORGANS`, `[X, Y, Z]`; gas in the rectum belongs to the rectum.
        spacing: Of the voxels along each axis in mm.
    """

    tissues: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    spacing: tuple[float, float, float]


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, ...], sigma: tuple[float, ...]
) -> Floats:
    """Return a random field of mean 0 and standard deviation 1.

    Args:
        rng: Source of the noise.
        shape: Of the field.
        sigma: How far it is correlated along each axis, in voxels.
    """
    # Noise on a grid of about one point per sigma, enlarged: the same field for a fraction of the work.
    coarse = [
        max(4, round(side / max(width, 1.0)) + 3) for side, width in zip(shape, sigma, strict=True)
    ]
    noise = ndimage.gaussian_filter(
        rng.standard_normal(coarse).astype(np.float32), 1.0, mode="wrap"
    )
    zoom = [side / small for side, small in zip(shape, coarse, strict=True)]
    field = np.asarray(ndimage.zoom(noise, zoom, order=1, mode="nearest", grid_mode=True))
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), dtype=np.float32)


def make_anatomy(rng: np.random.Generator, size: int) -> Anatomy:
    """Return a phantom of random shapes.

    Args:
        rng: Source of all that is random in it.
        size: Voxels from left to right; three quarters of it from back to front, a quarter from bottom to top.
    """
    shape = (size, size * 3 // 4, size // 4)
    spacing = (FIELD[0] / shape[0], FIELD[1] / shape[1], FIELD[2] / shape[2])
    builder = _Builder(rng, shape, spacing)
    builder.trunk()
    builder.bones()
    rectum = builder.organs()
    tissues = builder.tissues
    labels = np.zeros(shape, dtype=np.uint8)
    for tissue, organ in _LABELS.items():
        labels[tissues == tissue] = ORGANS[organ]
    labels[rectum] = ORGANS["rectum"]
    return Anatomy(tissues, labels, builder.spacing)


class _Builder:
    """Paints tissues into a grid, later ones over earlier ones."""

    def __init__(
        self,
        rng: np.random.Generator,
        shape: tuple[int, int, int],
        spacing: tuple[float, float, float],
    ) -> None:
        self.rng, self.shape, self.spacing = rng, shape, spacing
        self.tissues = np.zeros(shape, dtype=np.uint8)
        axes = [
            (np.arange(side, dtype=np.float32) - (side - 1) / 2) * step
            for side, step in zip(shape, spacing, strict=True)
        ]
        straight = np.meshgrid(*axes, indexing="ij")
        # Positions in mm, bent: every shape below comes out irregular.
        self.x, self.y, self.z = (axis + 4.0 * self.field(30.0) for axis in straight)
        self.straight = straight
        self.size = rng.uniform(0.9, 1.1)

    def field(self, reach: float) -> Floats:
        """Return a smooth field correlated over `reach` mm."""
        sigma = tuple(reach / step for step in self.spacing)
        return smooth_field(self.rng, self.shape, sigma)

    def ellipsoid(
        self,
        centre: tuple[float, float, float],
        radii: tuple[float, float, float],
        tilt: float = 0.0,
    ) -> Mask:
        """Return an ellipsoid, turned by `tilt` radians in the plane from left to right and bottom to top."""
        x, y, z = (axis - c for axis, c in zip((self.x, self.y, self.z), centre, strict=True))
        along, up = np.cos(tilt) * x + np.sin(tilt) * z, np.cos(tilt) * z - np.sin(tilt) * x
        a, b, c = radii
        return np.asarray((along / a) ** 2 + (y / b) ** 2 + (up / c) ** 2 < 1)

    def depth(self, mask: Mask) -> Floats:
        """Return the distance to the outside of a mask in mm."""
        return np.asarray(
            ndimage.distance_transform_edt(mask, sampling=self.spacing), dtype=np.float32
        )

    def trunk(self) -> None:
        """Paint fat under the skin, muscle with strands of fat, and the fat around the organs."""
        rng, scale = self.rng, self.size
        half = (rng.uniform(155, 175) * scale, rng.uniform(100, 120) * scale)
        waist = 1 - 0.0006 * self.z * rng.uniform(0, 1)
        body = (np.abs(self.x) / (half[0] * waist)) ** 2.6 + (
            np.abs(self.y) / (half[1] * waist)
        ) ** 2.4 < 1
        inside = self.depth(body) - 3.0 * self.field(40.0)
        self.tissues[body] = Tissue.FAT
        muscle = body & (inside > rng.uniform(14, 28))
        muscle &= self.field(9.0) < 1.5
        self.tissues[muscle] = Tissue.MUSCLE
        cavity = self.ellipsoid((0, -5, 0), (62 * scale, 62 * scale, 200))
        self.tissues[cavity & body] = Tissue.FAT

    def bones(self) -> None:
        """Paint bones: marrow within a cortical shell that is dark on MR and bright on CT."""
        rng, scale = self.rng, self.size
        apart = rng.uniform(86, 98) * scale
        bone = np.zeros(self.shape, dtype=np.bool_)
        for side in (-1, 1):
            head = rng.uniform(22, 27) * scale
            bone |= self.ellipsoid((side * apart, 0, -8), (head, head, head))
            bone |= self.ellipsoid((side * (apart + 22), -2, -40), (17, 17, 46), side * 0.45)
            bone |= self.ellipsoid((side * (apart - 14), -8, 34), (14, 34, 46), side * 0.35)
            bone |= self.ellipsoid((side * 32, 62, -26), (34, 11, 12), side * 0.25)
            bone |= self.ellipsoid((side * 58, -40, -46), (13, 16, 24), side * -0.3)
        bone |= self.ellipsoid((0, -74 * scale, 44), (42, 16, 40))
        bone |= self.ellipsoid((0, -66 * scale, -2), (15, 9, 20))
        bone &= self.tissues > 0
        shell = rng.uniform(3.5, 6.0) * (1 + 0.25 * self.field(35.0))
        self.tissues[bone] = Tissue.MARROW
        # At least the outermost voxel is cortical, however coarse the grid is.
        self.tissues[bone & (self.depth(bone) <= np.maximum(shell, max(self.spacing[:2])))] = (
            Tissue.CORTICAL
        )

    def organs(self) -> Mask:
        """Paint bladder, prostate, rectum and gas in the bowel; return the rectum with its gas."""
        rng, scale = self.rng, self.size
        free = ~np.isin(self.tissues, (Tissue.CORTICAL, Tissue.MARROW, Tissue.OUTSIDE))
        for _ in range(rng.integers(8, 15)):
            where = (rng.uniform(-60, 60), rng.uniform(-10, 62), rng.uniform(15, 72))
            radii = (rng.uniform(10, 20), rng.uniform(9, 16), rng.uniform(8, 16))
            self.tissues[self.ellipsoid(where, radii) & free] = Tissue.GAS
        low, aside = rng.uniform(-24, -14), rng.uniform(-4, 4)
        width, height = rng.uniform(20, 29) * scale, rng.uniform(16, 23) * scale
        filled = rng.uniform(25, 44) * scale
        bladder = self.ellipsoid(
            (aside, rng.uniform(8, 20), low + height + 0.75 * filled),
            (1.2 * filled, filled, filled),
        )
        self.tissues[bladder & free] = Tissue.BLADDER
        prostate = self.ellipsoid((aside, rng.uniform(0, 8), low), (width, 0.85 * width, height))
        self.tissues[prostate & free] = Tissue.PROSTATE
        return self._rectum(free)

    def _rectum(self, free: Mask) -> Mask:
        rng = self.rng
        bend, phase = rng.uniform(3, 10), rng.uniform(0, 6)
        x = self.x - bend * np.sin(self.z / 28 + phase)
        y = self.y + rng.uniform(36, 42) * self.size + 0.08 * self.z
        across = np.hypot(x, y)
        radius = rng.uniform(15, 20) * self.size * (1 + 0.15 * self.field(30.0))
        rectum = (across < radius) & free
        lumen = (across < radius - max(3.5, 0.7 * self.spacing[0])) & free
        # A patient lies on the back: gas rises to the front of what it is in.
        gas = lumen & (y > radius * (-0.1 + 0.4 * self.field(22.0)))
        self.tissues[rectum] = Tissue.RECTUM_WALL
        self.tissues[lumen] = Tissue.STOOL
        self.tissues[gas] = Tissue.GAS
        return np.asarray(rectum)
