"""Label images beside photos: read, cut and thinned as their photos are, and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps
from torch import Tensor

from sfg_nas.data.cache import kept
from sfg_nas.data.content import content_key, workers
from sfg_nas.data.decode import check_single, fit_box, reason_of, upright_size
from sfg_nas.data.grey import opened
from sfg_nas.data.location import Progress
from sfg_nas.data.tables import Table
from sfg_nas.data.troubles import Trouble
from sfg_nas.errors import DataError
from sfg_nas.tasks import Encoding, Task, WrongLabelError, channels_last

Maps = NDArray[np.float32]
Labelled = NDArray[Any]
_FORMAT = 1
"""Raised when the same files would be stored in another way."""
_TRIED = 50
"""Images that are looked for to find the folder they lie in."""
MOST_SHOWN = 10
"""Wrong label images of one task that are named one by one."""


@dataclass(frozen=True)
class LabelFile:
    """A label image.

    Attributes:
        file: Where it lies; None if there is none.
        photo: The photo that it belongs to; its size must be the photo's.
        where: Row and column that name it.
    """

    file: Path | None
    photo: Path
    where: str


def read_label(task: Task, encoding: Encoding, label: LabelFile, size: tuple[int, ...]) -> Maps:
    """Return the labels `[*target_shape]` of one photo of a size, each from one pixel; NaN where they are missing.

    Args:
        task: Of a dense kind.
        encoding: Of its label images.
        label: The file.
        size: H, W of the images.

    Raises:
        WrongLabelError: If it cannot be read, has another size than its photo, or a pixel stands for nothing.
    """
    shape = task.target_shape((1, *size))
    if label.file is None:
        return np.full(shape, np.nan, dtype=np.float32)
    pixels = open_label(label.file)
    height, width = channels_last(pixels).shape[:2]
    photo = upright_size(label.photo)
    if (width, height) != photo:
        rule = f"the size of its photo, {photo[0]} x {photo[1]} pixels, is needed"
        raise WrongLabelError(rule, f"{width} x {height} in {label.file.name}")
    try:
        labels = task.rules.from_pixels(task, pixels, encoding)
    except WrongLabelError as error:
        lossy = label.file.suffix.lower() in (".jpg", ".jpeg")
        hint = " (JPEG changes pixels: keep label images as PNG)" if lossy else ""
        raise WrongLabelError(error.rule, f"{error.found} in {label.file.name}{hint}") from error
    left, top, wide, high = fit_box((width, height), size)
    rows = (top + (np.arange(size[0]) + 0.5) * high / size[0]).astype(np.int64).clip(0, height - 1)
    columns = (left + (np.arange(size[1]) + 0.5) * wide / size[1]).astype(np.int64)
    found = labels[..., rows[:, None], columns.clip(0, width - 1)]
    return found.astype(np.float32).reshape(shape)


def open_label(path: Path) -> Labelled:
    """Return a label image `[H, W, C]` as it is stored: the places in a palette, not its colours.

    Args:
        path: A NumPy file, or what Pillow reads.

    Raises:
        WrongLabelError: If it cannot be read, or holds no numbers.
    """
    try:
        if path.suffix.lower() == ".npy":
            array: NDArray[Any] = np.load(path, allow_pickle=False)
        else:
            with opened(path) as file:
                check_single(file)
                array = np.asarray(ImageOps.exif_transpose(file))
    except FileNotFoundError as error:
        raise WrongLabelError("a file that exists is needed", str(path)) from error
    except Exception as error:
        found = f"{path.name}: {reason_of(error)}"
        raise WrongLabelError("a label image that can be read is needed", found) from error
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or 0 in array.shape or array.dtype.kind not in "buif":
        rule = "numbers of shape [H, W] or [H, W, C] are needed"
        raise WrongLabelError(rule, f"{array.dtype} {list(array.shape)} in {path.name}")
    return array.astype(np.uint8) if array.dtype.kind == "b" else array


def stored_labels(
    task: Task,
    encoding: Encoding,
    labels: Sequence[LabelFile],
    *,
    size: tuple[int, ...],
    photos: str,
    cache: Path,
    progress: Progress | None = None,
) -> tuple[Maps, list[Trouble]]:
    """Return the labels of many photos `[N, *target_shape]`, from the cache or made into it, and all that is wrong.

    Args:
        task: Of a dense kind.
        encoding: Of its label images.
        labels: One for each photo.
        size: H, W of the images.
        photos: A digest of the photos, whose sizes count.
        cache: The folder of all caches.
        progress: Called with (files done, files in all) while they are read.

    Raises:
        DataError: If the cache cannot be written.
    """
    there = {str(place): label.file for place, label in enumerate(labels) if label.file is not None}
    settings = [_FORMAT, task.kind, task.outputs, list(size), asdict(encoding), photos]
    memory = cache / "labels" / hashlib.sha256(task.name.encode()).hexdigest()[:8]
    key = content_key(list(there.values()), json.dumps(settings), names=list(there), memory=memory)
    shape = (len(labels), *task.target_shape((1, *size)))
    troubles: list[Trouble] = []

    def read(folder: Path) -> Maps | None:
        try:
            found: Maps = np.load(folder / "labels.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, EOFError, ValueError):
            return None
        return found if found.shape == shape else None

    def fill(folder: Path) -> None:
        made = np.lib.format.open_memmap(
            folder / "labels.npy", mode="w+", dtype=np.float32, shape=shape
        )
        troubles.extend(_read_all(task, encoding, labels, size, made, progress))
        made.flush()
        if troubles:
            raise _WrongLabelsError

    try:
        return kept(cache / f"{key[:31]}l", read, fill, what="label images"), []
    except _WrongLabelsError:
        return np.full(shape, np.nan, dtype=np.float32), troubles


def read_targets(
    task: Task, encoding: Encoding, labels: Sequence[LabelFile], size: tuple[int, ...]
) -> Tensor:
    """Return targets `[N, *target_shape]` from label images, which are not kept.

    Args:
        task: Of a dense kind.
        encoding: Of its label images.
        labels: One for each photo.
        size: H, W of the images.

    Raises:
        DataError: If some are wrong; with all of them at once.
    """
    made = np.zeros((len(labels), *task.target_shape((1, *size))), dtype=np.float32)
    troubles = _read_all(task, encoding, labels, size, made, None)
    if troubles:
        raise DataError("\n".join(map(str, troubles)))
    return task.targets(made, task.name)


class _WrongLabelsError(Exception):
    """Some label images are wrong, so that nothing is kept."""


def _read_all(
    task: Task,
    encoding: Encoding,
    labels: Sequence[LabelFile],
    size: tuple[int, ...],
    made: Maps,
    progress: Progress | None,
) -> list[Trouble]:
    def attempt(place: int) -> Trouble | None:
        label = labels[place]
        try:
            made[place] = read_label(task, encoding, label, size)
        except WrongLabelError as error:
            do = "correct the label image, or empty the cell"
            return Trouble((), error.rule, str(error.found), do, label.where)
        return None

    troubles = []
    with ThreadPoolExecutor(workers()) as pool:
        for place, trouble in enumerate(pool.map(attempt, range(len(labels)))):
            troubles += [trouble] if trouble is not None else []
            if progress is not None:
                progress(place + 1, len(labels))
    return shortened(troubles, task.name)


def shortened(troubles: list[Trouble], name: str) -> list[Trouble]:
    """Return the first troubles, and a word about how many more there are.

    Args:
        troubles: Of one task.
        name: Of the task.
    """
    more = len(troubles) - MOST_SHOWN
    if more <= 0:
        return troubles
    rule, do = "each label image must fit its photo and its task", "correct them"
    rest = Trouble((), rule, f"{more} more that do not", do, f"{name}: label images")
    return [*troubles[:MOST_SHOWN], rest]


def label_files(
    table: Table, column: str, photos: Sequence[Path], root: Path | None
) -> list[LabelFile]:
    """Return the label images that a column names, one for each row.

    Args:
        table: Its cells.
        column: The name.
        photos: That of each row.
        root: Another folder where they may lie.
    """
    cells = table.column(column)
    base = base_of(cells, table.path.parent, root)
    return [
        LabelFile(below(base, cell) if cell else None, photo, f"{table.where(row)}: {column}")
        for row, (cell, photo) in enumerate(zip(cells, photos, strict=True))
    ]


def base_of(cells: Sequence[str], folder: Path, root: Path | None) -> Path:
    """Return what paths of images are relative to: a table's folder, or the data root if they lie there.

    Args:
        cells: The paths.
        folder: Of the table.
        root: The data root.
    """
    tried = [cell for cell in cells if cell][:_TRIED]
    bases = [folder] + ([root, root / folder.name] if root is not None else [])
    found = [sum(below(base, cell).is_file() for cell in tried) for base in bases]
    return bases[found.index(max(found))]


def below(base: Path, cell: str) -> Path:
    """Return the file that a cell names; backslashes are read as slashes where no such file is there.

    Args:
        base: What the cell is relative to.
        cell: Of a table.
    """
    path = base / cell
    return base / cell.replace("\\", "/") if "\\" in cell and not path.exists() else path
