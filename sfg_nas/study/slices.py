"""A slice of each subject with what a network makes of it, for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from sfg_nas.data import Examples, Patches
from sfg_nas.errors import ConfigError, explain
from sfg_nas.study.study import Study
from sfg_nas.training import predict_volume

Plane = NDArray[Any]


@dataclass(frozen=True, eq=False)
class SliceView:
    """One axial slice `[X, Y]`, to the right and to the front; NaN and -1 outside the body.

    Attributes:
        subject: Whose it is.
        mr: As the network sees it.
        ct: In HU, or None if the subject has none.
        synthesised: The network's CT in HU, or None if it has no such task.
        labels: Classes, or None if the subject has none.
        segmented: The network's classes, or None if it has no such task.
    """

    subject: str
    mr: Plane
    ct: Plane | None
    synthesised: Plane | None
    labels: Plane | None
    segmented: Plane | None


def slice_views(network: nn.Module, study: Study, part: Examples) -> list[SliceView]:
    """Return for each subject of a part the slice with the most organs (and of those voxels), or the middle one.

    Args:
        network: Trained on the study, in eval mode.
        study: Of a data set of volumes.
        part: One of the data set's parts.

    Raises:
        ConfigError: If the data set holds no volumes.
    """
    if not isinstance(part, Patches):
        rule, do = "pictures of slices need a data set of volumes", "leave --pictures out"
        raise ConfigError(explain(where="--pictures", rule=rule, found=study.data.name, do=do))
    views = []
    for subject in part.subjects:
        found = predict_volume(network, subject.mr, part.patch, study.tasks)
        classes = None if subject.labels is None else _classes(subject.labels, part.organs)
        place = subject.mr.shape[2] // 2
        if classes is not None and bool((classes > 0).any()):
            place = _fullest(classes)
        body = np.asarray(subject.body[..., place])
        views.append(
            SliceView(
                subject.name,
                np.array(subject.mr[..., place]),
                _plane(subject.ct, place, body, np.nan),
                _plane(found.get("ct"), place, body, np.nan),
                _plane(classes, place, body, -1),
                _plane(found.get("organs"), place, body, -1),
            )
        )
    return views


def _fullest(classes: Plane) -> int:
    """Return the slice with the most different organs, and of those the one with the most voxels of them."""
    kinds = [len(np.unique(plane[plane > 0])) for plane in np.moveaxis(classes, 2, 0)]
    voxels = (classes > 0).sum((0, 1))
    return int(np.lexsort((voxels, kinds))[-1])


def _classes(labels: Plane, organs: Mapping[str, int]) -> Plane:
    classes = np.zeros(labels.shape, dtype=np.int64)
    for place, number in enumerate(organs.values(), start=1):
        classes[labels == number] = place
    return classes


def _plane(values: Plane | None, place: int, body: Plane, outside: float) -> Plane | None:
    if values is None:
        return None
    plane = np.array(values[..., place])
    plane = plane.astype(np.int64) if outside == -1 else plane
    plane[~body] = outside
    return plane
