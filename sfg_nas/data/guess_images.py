"""A look at label images that nobody has described yet: what their pixels may stand for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sfg_nas.data.label_images import Labelled, open_label
from sfg_nas.tasks import WrongLabelError

_LOOKED_AT = 12
_MOST_CLASSES = 32
"""Different pixels up to which label images count as those of classes."""
_DEPTH = re.compile(r"depth|disp|dist|height|range")
_NOT_KNOWN = 255


def guess_label_images(name: str, files: Sequence[Path]) -> tuple[dict[str, object], str]:
    """Return the entry of a task, empty if the files hold none, and why.

    Args:
        name: Of the column.
        files: Those that it names; some of them are looked at.
    """
    images: list[Labelled] = []
    for file in files[:: max(1, len(files) // _LOOKED_AT)]:
        try:
            images.append(open_label(file))
        except WrongLabelError:
            continue
    if not images:
        return {}, f"it names files, but none such as {files[0]} could be read"
    shapes = {image.shape[-1] for image in images}
    if len(shapes) > 1:
        return {}, f"it names images with {' and '.join(map(str, sorted(shapes)))} channels"
    grey = all((image == image[..., :1]).all() for image in (i[..., :3] for i in images))
    if shapes <= {3, 4} and not grey:
        return _of_colours(name, images)
    numbers = np.concatenate([np.unique(image[..., 0]) for image in images])
    return _of_numbers(name, np.unique(numbers[~np.isnan(numbers)]), images[0].dtype.kind == "f")


def _of_colours(name: str, images: Sequence[Labelled]) -> tuple[dict[str, object], str]:
    floating = images[0].dtype.kind == "f"
    if "normal" in name.lower() or (floating and all(np.nanmin(i) < 0 for i in images)):
        return {"kind": "normals"}, "its images hold three numbers per pixel, taken for directions"
    if floating:
        return {}, "its images hold three numbers per pixel, which may mean anything"
    rows = np.concatenate([np.unique(i[..., :3].reshape(-1, 3), axis=0) for i in images])
    colours = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in np.unique(rows, axis=0).tolist()]
    if len(colours) > _MOST_CLASSES:
        return {}, f"its images hold {len(colours)} colours, too many for classes"
    entry: dict[str, object] = {"kind": "segmentation", "classes": _names(len(colours))}
    entry["values"] = colours
    why = f"its images hold {len(colours)} colours, each taken for a class (name them; the first is the background)"
    return entry, why


def _of_numbers(name: str, found: Labelled, floating: bool) -> tuple[dict[str, object], str]:
    whole = bool((found == found.round()).all())
    far = _DEPTH.search(name.lower()) is not None
    if whole and not far and len(found) <= _MOST_CLASSES:
        values = [int(value) for value in found if value not in (-1, _NOT_KNOWN)]
        if values in ([0], [1]) or not values:  # 0 and 255, or one class only
            values = sorted({0, *(int(value) for value in found if value >= 0)})
        if len(values) > 1:
            entry: dict[str, object] = {"kind": "segmentation", "classes": _names(len(values))}
            entry |= {} if values == list(range(len(values))) else {"values": values}
            unknown = _NOT_KNOWN in found and _NOT_KNOWN not in values
            entry |= {"missing": _NOT_KNOWN} if unknown else {}
            why = f"its images hold {len(values)} different whole numbers (name them; the first is the background)"
            return entry, why
    if len(found) < 2:
        return {}, "its images hold the same number everywhere"
    entry = {"kind": "dense-regression"}
    zero = far and not floating and 0 in found
    entry |= {"missing": 0} if zero else {}
    why = f"its images hold numbers from {found.min():g} to {found.max():g}"
    why += ", 0 taken for missing" if zero else ""
    return entry, why + " (add `unit`, and `factor` if they are not in it)"


def _names(count: int) -> list[str]:
    if count == 2:
        return ["background", "foreground"]
    return ["background", *(f"class_{number}" for number in range(1, count))]
