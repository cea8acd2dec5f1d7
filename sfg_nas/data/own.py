"""From any `Dataset` that yields `(image, {task: target})` to a data set of ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NoReturn, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sfg_nas.data.arrays import bundle_from_arrays, numbers_of
from sfg_nas.data.bundle import DataBundle
from sfg_nas.data.splits import Splits, random_splits
from sfg_nas.errors import DataError, explain
from sfg_nas.tasks import Task

T_co = TypeVar("T_co", covariant=True)
Example = tuple[object, Mapping[str, object]]
Array = NDArray[np.generic]
PARTS = ("train", "validation", "test")
_SHOWN = 80


class MapStyle(Protocol[T_co]):
    """What torch calls a map-style data set."""

    def __len__(self) -> int:
        """Count the examples."""

    def __getitem__(self, index: int, /) -> T_co:
        """Return one example."""


Examples = MapStyle[Example] | Iterable[Example]
OwnData = Examples | Mapping[str, Examples]
"""One data set that is divided by a seed, or one for each of train, validation and test."""


def bundle_from_dataset(
    dataset: OwnData,
    tasks: Sequence[Task] | None = None,
    *,
    name: str = "own",
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
) -> DataBundle:
    """Return a data set made of examples `(image, {task: target})`.

    Each example is asked for once and kept in memory, so give images in the size that the network
    shall see, of uint8 where possible; whatever the data set does at random is frozen. A target that
    is None, absent, NaN, or a negative class is missing.

    Args:
        dataset: Of torch, or any other sequence or iterable; or a mapping with one for each of
            `train`, `validation` and `test`. Images are tensors or arrays `[C, H, W]`, or Pillow's.
        tasks: What the targets mean; None to tell it from their type (as the attribute `tasks` of the
            data set, where it has one): whole numbers are classes, numbers with a point are a
            regression, a vector of 0 and 1 is multi-label, whole and other numbers at every pixel are
            a segmentation and a dense regression.
        name: Of the data set.
        validation: The share of the validation part, if the parts are drawn.
        test: The share of the test part, likewise.
        seed: Of that draw.

    Raises:
        DataError: If there is no example, or images or targets do not fit together.
    """
    given = dataset if isinstance(dataset, Mapping) else {"": dataset}
    if isinstance(dataset, Mapping) and set(dataset) != set(PARTS):
        _refuse(name, f"data sets for {', '.join(PARTS)} are needed", ", ".join(dataset) or "none")
    parts = {part: list(_examples(given[part], name)) for part in given}
    examples = [example for part in parts.values() for example in part]
    if not examples:
        _refuse(name, "at least one example is needed", "none")
    arrays = [_image(image, place, name) for place, (image, _) in enumerate(examples)]
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        _refuse(name, "images of the same shape are needed", ", ".join(map(str, shapes[:5])))
    types = sorted({str(array.dtype) for array in arrays})
    if "uint8" in types and len(types) > 1:  # from 0 to 255, and most likely from 0 to 1
        _refuse(name, "images of one type are needed", ", ".join(types))
    images = np.stack(arrays)
    names = list(dict.fromkeys(task for _, targets in examples for task in targets))
    if not all(isinstance(task, str) for task in names):
        _refuse(name, "names of tasks must be text", ", ".join(map(repr, names)))
    columns = {task: [targets.get(task) for _, targets in examples] for task in names}
    known = tasks or getattr(dataset, "tasks", None) or [_told(n, columns[n], name) for n in names]
    labels = {
        task.name: _labels(task, columns.get(task.name, []), images.shape, name) for task in known
    }
    if isinstance(dataset, Mapping):
        ends = np.cumsum([len(parts[part]) for part in PARTS])
        rows = np.split(np.arange(len(examples)), ends[:-1])
        splits = Splits(rows[0], rows[1], rows[2])
    else:
        splits = random_splits(len(examples), validation=validation, test=test, seed=seed)
    return bundle_from_arrays(images, labels, known, splits=splits, name=name)


def _examples(dataset: Examples, name: str) -> Iterator[Example]:
    if hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__"):
        indexed = cast("MapStyle[Example]", dataset)
        found: Iterable[object] = (indexed[index] for index in range(len(indexed)))
    elif isinstance(dataset, Iterable):
        found = dataset
    else:
        _refuse(name, "a data set with __getitem__ and __len__, or __iter__, is needed", dataset)
    for example in found:
        sound = isinstance(example, tuple | list) and len(example) == 2
        if not sound or not isinstance(example[1], Mapping):  # type: ignore[index]
            _refuse(name, "each example must be (image, {task: target})", type(example).__name__)
        yield example[0], example[1]  # type: ignore[index]


def _image(image: object, place: int, name: str) -> Array:
    if isinstance(image, Image.Image):
        # the numbers of a palette's places are no shades of grey
        array = np.asarray(image.convert("RGB") if image.mode == "P" else image)
        return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    array = _array(image, f"{name}: example {place}: image")
    if array.ndim < 3:
        rule = "images [C, H, W] are needed"
        _refuse(f"{name}: example {place}", rule, f"an image of shape {array.shape}")
    return array


def _array(value: object, where: str) -> Array:
    """Return numbers as an array."""
    try:
        array = numbers_of(value)
        if array.dtype == object and array.ndim == 0:  # such as decimal.Decimal
            array = np.asarray(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # such as lists of different lengths
        _refuse(where, "numbers are needed", repr(value)[:_SHOWN])
    if array.dtype.kind not in "buif":
        _refuse(where, "numbers are needed", repr(value)[:_SHOWN])
    return array


def _told(task: str, column: Sequence[object], name: str) -> Task:
    """Return the task that targets of this type stand for."""
    given = [_array(value, f"{name}: {task}") for value in column if value is not None]
    known = [value for value in given if not np.isnan(value).all()]  # a missing one tells nothing
    if not known:
        _refuse(f"{name}: {task}", "at least one target is needed", "none")
    first = known[0]
    whole = np.issubdtype(first.dtype, np.integer) or first.dtype == np.bool_
    top = max(int(value[np.isfinite(value)].max(initial=0)) for value in known) if whole else 0
    coins = (-1, 0, 1)
    if first.ndim == 1 and all(np.isin(value[~np.isnan(value)], coins).all() for value in known):
        return Task(task, "multi-label", len(first))
    if first.ndim == 1:
        _refuse(f"{name}: {task}", "a number, a vector of 0 and 1, or a map is needed", first.shape)
    kinds = (
        ("classification", "regression")
        if first.ndim == 0
        else ("segmentation", "dense-regression")
    )
    return Task(task, kinds[0], max(2, top + 1)) if whole else Task(task, kinds[1])


def _labels(task: Task, column: Sequence[object], images: tuple[int, ...], name: str) -> Array:
    shape = task.target_shape(images[1:])
    labels = np.full((images[0], *shape), np.nan)
    for place, value in enumerate(column):
        if value is None:
            continue
        where = f"{name}: example {place}: {task.name}"
        array = _array(value, where)
        if array.shape != shape:
            _refuse(where, f"a target of shape {shape} is needed", array.shape)
        labels[place] = array.astype(np.float64)
    return labels


def _refuse(where: str, rule: str, found: object) -> NoReturn:
    do = "check what the data set yields"
    raise DataError(explain(where=where, rule=rule, found=str(found), do=do))
