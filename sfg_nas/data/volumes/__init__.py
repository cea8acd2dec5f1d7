"""Volumes: MR, CT and organ labels of subjects as NIfTI, and phantoms to try them on."""

from sfg_nas.data.volume_settings import VolumeSettings
from sfg_nas.data.volumes.augment import VOLUME_AUGMENTATIONS
from sfg_nas.data.volumes.files import is_volume, named_once, stem, write_volume
from sfg_nas.data.volumes.load import load
from sfg_nas.data.volumes.patches import Patches
from sfg_nas.data.volumes.restore import Scan, read_scan
from sfg_nas.data.volumes.write_phantoms import write_phantoms

__all__ = [
    "VOLUME_AUGMENTATIONS",
    "Patches",
    "Scan",
    "VolumeSettings",
    "is_volume",
    "load",
    "named_once",
    "read_scan",
    "stem",
    "write_phantoms",
    "write_volume",
]
