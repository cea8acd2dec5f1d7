"""What a study file may name, and where it is read from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sfg_nas.backbones import BACKBONES, FAMILY, vision_names
from sfg_nas.config import Document, Inspected, Names, Problem, Value, read_yaml
from sfg_nas.data import (
    AUGMENTATIONS,
    DATASET_TASKS,
    DATASETS,
    INSPECTIONS,
    VOLUME_AUGMENTATIONS,
    Location,
    data_options,
)
from sfg_nas.training import aggregators

PROVENANCE = "provenance"
"""The section of a run's `study.yaml` that says where it came from; not a part of the study."""
FOLDER = "folder"
"""Its entry with the folder of the study file, which the path of a table may be relative to."""


def known_names(beside: Path | None = None, data_root: Path | None = None) -> Names:
    """Return the names that a study file may use.

    Args:
        beside: The folder of the study file.
        data_root: The folder that holds the data sets.
    """
    place = Location(root=data_root, beside=beside)
    seen: dict[str, Inspected] = {}

    def inspect(section: Mapping[str, Value]) -> Inspected:
        # A study is checked many times, once for each end of its search space; a table is read once.
        key = json.dumps(section, default=str)
        if key not in seen:
            seen[key] = _inspected(section, place)
        return seen[key]

    return Names(
        backbones=tuple(BACKBONES),
        datasets={kind: tuple(data_options(kind)) for kind in DATASETS},
        tasks=DATASET_TASKS,
        augmentations=tuple({**AUGMENTATIONS, **VOLUME_AUGMENTATIONS}),
        aggregators=aggregators(),
        inspect=inspect,
        families={FAMILY.rstrip("/"): vision_names},
    )


def _inspected(section: Mapping[str, Value], place: Location) -> Inspected:
    look = INSPECTIONS.get(str(section.get("kind")))
    if look is None:
        return Inspected()
    own = {k: v for k, v in section.items() if k not in ("kind", "augment") and v is not None}
    found = look(own, place)
    here = tuple((t.path, t.rule, t.found, t.do) for t in found.troubles if not t.where)
    elsewhere = tuple(Problem(t.where, t.rule, t.found, t.do) for t in found.troubles if t.where)
    return Inspected(found.tasks, here, elsewhere)


def read_study(source: str | Path) -> tuple[Document, Path]:
    """Return what a study file says, and the folder that the paths in it are relative to.

    Args:
        source: A study file, or a run's `study.yaml`, which keeps the folder of the one it came from.

    Raises:
        ConfigError: If it cannot be read.
    """
    folder = Path(source).parent
    document = read_yaml(source)
    if not isinstance(document.value, dict):
        return document, folder
    provenance = document.value.get(PROVENANCE)
    kept = provenance.get(FOLDER) if isinstance(provenance, dict) else None
    if isinstance(kept, str) and Path(kept).is_dir():
        folder = Path(kept)
    value = {key: item for key, item in document.value.items() if key != PROVENANCE}
    return Document(name=document.name, value=value, lines=document.lines), folder
