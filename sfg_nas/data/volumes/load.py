"""The data set `volumes`: a folder of subjects with MR, CT and organ labels as NIfTI."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NoReturn

import numpy as np
import torch

from sfg_nas.data.bundle import DataBundle
from sfg_nas.data.checks import check_integer, check_name, check_share, image_size
from sfg_nas.data.location import Location
from sfg_nas.data.volume_settings import VolumeSettings
from sfg_nas.data.volumes.extra import medical
from sfg_nas.data.volumes.patches import CT, ORGANS, Patches
from sfg_nas.data.volumes.prepare import spacing_of
from sfg_nas.data.volumes.store import StoredSubject, stored_subject
from sfg_nas.data.volumes.subjects import SubjectFiles, find_subjects
from sfg_nas.errors import ConfigError, DataError, explain
from sfg_nas.tasks import Task

PELVIS = {"bone": 1, "prostate": 2, "bladder": 3, "rectum": 4}
LOSSES = {"l1": "laplace", "l2": "gaussian"}
_SAMPLE = 1_000_000  # voxels of each subject that the CT's mean and spread are measured on


def load(  # noqa: PLR0913 - each option is a key of the study file
    location: Location,
    *,
    folder: str = "volumes",
    mr: str = "{subject}/mr.nii.gz",
    ct: str | None = "{subject}/ct.nii.gz",
    labels: str | None = "{subject}/labels.nii.gz",
    organs: Mapping[str, int] | None = None,
    spacing: Sequence[float] | None = None,
    patch: Sequence[int] | None = None,
    size: int | Sequence[int] | None = None,
    patches: int = 256,
    margin: int | None = None,
    synthesis: str = "l1",
    folds: int = 5,
    fold: int = 0,
    validation: int = 2,
    fraction: float = 1.0,
    seed: int = 0,
) -> DataBundle:
    """Return MR volumes (NIfTI) with two tasks: `ct` (the CT in HU at each voxel) and `organs` (their segmentation).

    Volumes are brought to the axes right, front, head and to one spacing, the MR is masked to the body and normalised
    there; nothing outside the body is trained or scored. A subject may lack its CT or its labels: it then has no part in
    that task's loss and metrics.

    Args:
        location: The data root that holds `folder`, and the cache.
        folder: Of the subjects, below the data root.
        mr: Pattern of the MR files below the folder, with {subject}.
        ct: Of the CT files; None where there are none, and no task `ct`.
        labels: Of the label maps; None where there are none, and no task `organs`.
        organs: Names with their numbers in the label maps; everything else counts as background.
        spacing: Of the common grid along the axes right, front and head, in mm; None takes the subjects' median.
        patch: Voxels of a patch: two numbers for patches of slices, three for patches of volumes; None takes `size`.
        size: Side of square patches of slices in voxels, or their two sides; None takes 64.
        patches: Patches of an epoch.
        margin: Voxels at the border of a scored window that its neighbour counts; None takes an eighth of the patch.
        synthesis: Loss of the task `ct`: l1 or l2.
        folds: Parts that the subjects are divided into.
        fold: The part that is the test part, from 0.
        validation: Subjects of the validation part.
        fraction: The share of the training subjects and of an epoch's patches to keep.
        seed: Seed of the division.

    Raises:
        ConfigError: If an option is impossible or the extra `medical` is missing.
        DataError: If files are missing, damaged or do not fit together; the message names the subjects.
    """
    medical("nibabel"), medical("monai.transforms")
    patch = _patch(patch, size)
    settings = _settings(organs, patch, spacing)
    check_integer("volumes: patches", patches, 1)
    margin = min(settings.patch) // 8 if margin is None else margin
    check_integer("volumes: margin", margin, 0)
    check_name("volumes: synthesis", synthesis, LOSSES)
    root = location.folder(folder)
    files = find_subjects(root, {"mr": mr, "ct": ct, "labels": labels})
    parts = split_subjects(len(files), folds=folds, fold=fold, validation=validation, seed=seed)
    check_share("volumes: fraction", fraction, whole=True)
    parts["train"] = parts["train"][: max(1, round(fraction * len(parts["train"])))]
    if spacing is None:
        settings = _settings(organs, patch, _median_spacing(files))
    stored = _stored(files, settings, location)
    offered = [name for name, pattern in ((CT, ct), (ORGANS, labels)) if pattern is not None]
    parted = {
        name: Patches(
            tuple(stored[row] for row in rows),
            settings.patch,
            settings.organs,
            tuple(offered),
            max(1, round(patches * fraction)) if name == "train" else None,
            margin,
        )
        for name, rows in parts.items()
    }
    tasks = tuple(_task(name, parted["train"], LOSSES[synthesis]) for name in offered)
    if not tasks:
        _wrong("ct, labels", "a pattern of CT files or of label maps is needed", None)
    return DataBundle(
        name="volumes",
        tasks=tasks,
        train=parted["train"],
        validation=parted["validation"],
        test=parted["test"],
        fingerprint=_fingerprint(stored, parts, settings, margin),
        image_shape=parted["train"].image_shape,
        warnings=(*_missing(files, offered), *parted["train"].warnings()),
        volumes=settings,
    )


def split_subjects(
    count: int, *, folds: int, fold: int, validation: int, seed: int
) -> dict[str, list[int]]:
    """Return the subjects of each part: each is in the test part of one fold.

    Args:
        count: Subjects in all.
        folds: Parts of nearly equal size that they are dealt to at random.
        fold: The one that is tested, from 0.
        validation: Subjects of the validation part, the next ones in the same random order.
        seed: Of the order.

    Raises:
        ConfigError: If no subject would be left for a part.
    """
    check_integer("volumes: folds", folds, 2)
    check_integer("volumes: fold", fold, 0)
    check_integer("volumes: validation", validation, 1)
    check_integer("volumes: seed", seed, 0)
    if fold >= folds:
        _wrong("fold", f"0 <= fold < {folds} must hold", fold)
    order = np.random.default_rng([seed, 3]).permutation(count).tolist()
    test = order[fold::folds]
    # Those that come after the fold's, so that the folds' validation parts differ too.
    rest = [row for shift in range(1, folds) for row in order[(fold + shift) % folds :: folds]]
    if not test or len(rest) <= validation:
        _wrong(
            "validation",
            f"{count} subjects in {folds} folds must leave some for training",
            f"{len(test)} to test, {validation} of {len(rest)} others to validate",
        )
    return {
        "train": sorted(rest[validation:]),
        "validation": sorted(rest[:validation]),
        "test": sorted(test),
    }


def _patch(patch: Sequence[int] | None, size: int | Sequence[int] | None) -> Sequence[int]:
    if patch is None:
        return image_size("volumes: size", 64 if size is None else size, 1)
    if size is not None:
        _wrong("size", "`patch` or `size` may stand in a study, not both", f"{size} and {patch}")
    return patch


def _settings(
    organs: Mapping[str, int] | None, patch: Sequence[int], spacing: Sequence[float] | None
) -> VolumeSettings:
    value = {
        "organs": dict(PELVIS if organs is None else organs) if organs != {} else None,
        "patch": list(patch) if isinstance(patch, Sequence) else patch,
        "spacing": [1.0] * 3
        if spacing is None
        else list(spacing)
        if isinstance(spacing, Sequence)
        else spacing,
    }
    try:
        return VolumeSettings.from_json(value, "data")
    except DataError as error:
        text = str(error).rpartition(";")[0]
        raise ConfigError(f"{text}; correct the study's data section") from error


def _median_spacing(files: Sequence[SubjectFiles]) -> list[float]:
    """Return the median spacing of the files that can be read; what is wrong with others is said when all are."""
    sizes, wrong = [], []
    for subject in files:
        try:
            sizes.append(spacing_of(subject.mr, subject.name))
        except DataError as error:
            wrong.append(str(error))
    if not sizes:
        raise DataError("\n".join(wrong))
    return [round(float(size), 4) for size in np.median(sizes, axis=0)]


def _stored(
    files: Sequence[SubjectFiles], settings: VolumeSettings, location: Location
) -> list[StoredSubject]:
    stored, wrong = [], []
    for done, subject in enumerate(files):
        try:
            stored.append(stored_subject(subject, settings.spacing, location.cache_folder()))
        except DataError as error:
            wrong.append(str(error))
            continue
        _check_organs(subject, stored[-1], settings, wrong)
        if location.progress is not None:
            location.progress(done + 1, len(files))
    if wrong:
        raise DataError("\n".join(wrong))
    return stored


def _check_organs(
    files: SubjectFiles, subject: StoredSubject, settings: VolumeSettings, wrong: list[str]
) -> None:
    numbers = list(settings.organs.values())
    if subject.labels is None or np.isin(subject.labels, numbers).any():
        return
    known = ", ".join(f"{name} {number}" for name, number in settings.organs.items())
    found = ", ".join(map(str, np.unique(subject.labels)[:10]))
    wrong.append(
        explain(
            where=f"subject {files.name}: {files.labels}",
            rule=f"at least one organ ({known}) must be labelled",
            found=f"the numbers {found}",
            do="correct data.organs or the file, or take the file out of the folder",
        )
    )


def _task(name: str, train: Patches, likelihood: str) -> Task:
    if name == ORGANS:
        if all(subject.labels is None for subject in train.subjects):
            _unlabelled(name)
        names = ("background", *train.organs)
        return Task(ORGANS, "segmentation", len(names), classes=names)
    values = [
        subject.ct[subject.body][:: max(1, int(subject.body.sum()) // _SAMPLE)]
        for subject in train.subjects
        if subject.ct is not None
    ]
    if not values:
        _unlabelled(name)
    numbers = torch.from_numpy(np.concatenate(values))
    task = Task(
        CT, "dense-regression", unit="HU", likelihood=likelihood, classes=tuple(train.organs)
    )
    return task.measured(torch.stack([numbers, torch.zeros_like(numbers)])[None])


def _unlabelled(name: str) -> NoReturn:
    raise DataError(
        explain(
            where=f"volumes: {name}",
            rule="at least one training subject needs a file for this task",
            found="none",
            do="add files, choose another fold, or leave the task out by setting its pattern to null",
        )
    )


def _missing(files: Sequence[SubjectFiles], offered: Sequence[str]) -> list[str]:
    held = {
        CT: [f.name for f in files if f.ct is None],
        ORGANS: [f.name for f in files if f.labels is None],
    }
    return [
        f"no file for the task {task}, which is left out there: subject {', '.join(held[task])}"
        for task in offered
        if held[task]
    ]


def _fingerprint(
    stored: Sequence[StoredSubject],
    parts: Mapping[str, Sequence[int]],
    settings: VolumeSettings,
    margin: int,
) -> str:
    content = {
        "subjects": [[subject.name, subject.key] for subject in stored],
        "parts": {name: list(rows) for name, rows in parts.items()},
        "settings": settings.to_json(),
        "margin": margin,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _wrong(key: str, rule: str, found: object) -> NoReturn:
    text = explain(where=f"volumes: {key}", rule=rule, found=str(found), do="change the value")
    raise ConfigError(text)
