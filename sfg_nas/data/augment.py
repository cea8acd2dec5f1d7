"""Vectorised augmentations by name: everything random in an epoch is drawn before its first batch."""

from __future__ import annotations

from sfg_nas.data.augment_moves import Augmentation, Crop, Flip, QuarterTurns, Rotate
from sfg_nas.data.augment_pixels import Blur, Brightness, Colour, Contrast, Erase, Noise

AUGMENTATIONS: dict[str, Augmentation] = {
    "flip": Flip(),
    "flip-vertical": Flip(axis=-2),
    "crop": Crop(),
    "rotate": Rotate(),
    "quarter-turns": QuarterTurns(),
    "brightness": Brightness(),
    "contrast": Contrast(),
    "colour": Colour(),
    "blur": Blur(),
    "noise": Noise(),
    "erase": Erase(),
}
"""Augmentations by the name that a study file gives them."""

IN_PLACE = ("crop", "rotate", "brightness", "contrast", "blur", "noise")
"""Those that leave true which of two things is left, and what it is."""

__all__ = ["AUGMENTATIONS", "IN_PLACE", "Augmentation", "Crop", "Flip"]
