"""Data sets: images, the targets of several tasks, and an honest division into three parts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import get_args, get_type_hints

from sfg_nas.data import (
    digits,
    multimnist,
    npy_folders,
    planted,
    table,
    table_options,
    utkface,
    volumes,
)
from sfg_nas.data.arrays import bundle_from_arrays
from sfg_nas.data.augment import AUGMENTATIONS
from sfg_nas.data.bundle import DataBundle
from sfg_nas.data.checks import check_name, check_text
from sfg_nas.data.decode import fit_box, upright_size, usual_size
from sfg_nas.data.grey import Reach, all_together, lost_values, shown_window, usual_window
from sfg_nas.data.guess import TableGuess, guess_table
from sfg_nas.data.images import Examples, ImageSet
from sfg_nas.data.label_images import LabelFile, base_of, below, read_targets
from sfg_nas.data.labelled import LabelledPhotos, photos_of_folder, photos_of_table
from sfg_nas.data.location import Location, Progress
from sfg_nas.data.own import OwnData, bundle_from_dataset
from sfg_nas.data.predicted import label_image, stems_of, write_label_image
from sfg_nas.data.preparation import PREPARATION_FILE, Preparation
from sfg_nas.data.scorable import check_scorable
from sfg_nas.data.splits import Splits, random_splits
from sfg_nas.data.table_tasks import KEYS as COLUMN_TASK_KEYS
from sfg_nas.data.tables import read_table
from sfg_nas.data.troubles import Inspection, Trouble
from sfg_nas.data.unseen import FILE_COLUMNS, Decoded, decode_batches, find_photos, shown
from sfg_nas.data.volume_settings import VolumeSettings
from sfg_nas.data.volumes import (
    VOLUME_AUGMENTATIONS,
    Patches,
    Scan,
    is_volume,
    named_once,
    read_scan,
    write_phantoms,
)
from sfg_nas.data.volumes import stem as volume_stem

DATASETS: dict[str, Callable[..., DataBundle]] = {
    "digits": digits.load,
    "multimnist": multimnist.load,
    "npy-folders": npy_folders.load,
    "planted": planted.load,
    "table": table.load,
    "utkface": utkface.load,
    "volumes": volumes.load,
}
"""Data sets by the name that a study file gives them; each takes a `Location` and keywords."""

DATASET_TASKS: dict[str, tuple[str, ...] | None] = {
    "digits": ("left", "right", "sum"),
    "multimnist": ("left", "right"),
    "npy-folders": None,
    "planted": None,
    "table": None,
    "utkface": ("age", "gender"),
    "volumes": ("ct", "organs"),
}
"""Names of the tasks that each data set offers, known before it is loaded; None where its options say."""

INSPECTIONS: dict[str, Callable[[Mapping[str, object], Location], Inspection]] = {
    "npy-folders": npy_folders.inspect,
    "table": table_options.inspect,
}
"""Data sets whose options name files or tasks: what is wrong with them, without reading an image."""


def load_data(
    kind: str,
    *,
    root: str | Path | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
    beside: str | Path | None = None,
    **options: object,
) -> DataBundle:
    """Return a data set by name.

    Args:
        kind: A name out of `DATASETS`.
        root: The folder that holds the data sets; `digits` needs none.
        cache: The folder for decoded images; None for `~/.cache/sfg_nas`.
        progress: Called with (images done, images in all) while images are decoded.
        beside: The folder of the study file.
        options: Options of the data set; see its `load`. None, where it means nothing, leaves the default.

    Raises:
        ConfigError: If the name or an option is unknown or impossible.
        DataError: If the data is missing, empty or damaged.
    """
    load = DATASETS[check_name("data.kind", kind, DATASETS)]
    known = data_options(kind)
    for name in options:
        check_name(f"data.{name}", name, known)
    hints = get_type_hints(load)
    given = {
        name: check_text(f"data.{name}", value, hints[name])
        for name, value in options.items()
        if value is not None or type(None) in get_args(hints[name])  # nothing: the default
    }
    return load(Location.at(root, cache, progress, beside), **given)


def data_options(kind: str) -> dict[str, object]:
    """Return the options of a data set with their default values.

    Args:
        kind: A name out of `DATASETS`.

    Raises:
        ConfigError: If the name is unknown.
    """
    load = DATASETS[check_name("data.kind", kind, DATASETS)]
    parameters = list(inspect.signature(load).parameters.values())[1:]
    return {parameter.name: parameter.default for parameter in parameters}


__all__ = [
    "AUGMENTATIONS",
    "COLUMN_TASK_KEYS",
    "DATASETS",
    "DATASET_TASKS",
    "FILE_COLUMNS",
    "INSPECTIONS",
    "PREPARATION_FILE",
    "VOLUME_AUGMENTATIONS",
    "DataBundle",
    "Decoded",
    "Examples",
    "ImageSet",
    "Inspection",
    "LabelFile",
    "LabelledPhotos",
    "Location",
    "OwnData",
    "Patches",
    "Preparation",
    "Progress",
    "Reach",
    "Scan",
    "Splits",
    "TableGuess",
    "Trouble",
    "VolumeSettings",
    "all_together",
    "base_of",
    "below",
    "bundle_from_arrays",
    "bundle_from_dataset",
    "check_scorable",
    "data_options",
    "decode_batches",
    "find_photos",
    "fit_box",
    "guess_table",
    "is_volume",
    "label_image",
    "load_data",
    "lost_values",
    "named_once",
    "photos_of_folder",
    "photos_of_table",
    "random_splits",
    "read_scan",
    "read_table",
    "read_targets",
    "shown",
    "shown_window",
    "stems_of",
    "upright_size",
    "usual_size",
    "usual_window",
    "volume_stem",
    "write_label_image",
    "write_phantoms",
]
