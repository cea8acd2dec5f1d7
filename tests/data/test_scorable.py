"""Parts without a label of a task are refused, all of them at once, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from sfg_nas.data import DataBundle, Examples, Splits, bundle_from_arrays, check_scorable
from sfg_nas.data.images import Batch
from sfg_nas.errors import DataError
from sfg_nas.tasks import Task

TASKS = (
    Task("kind", "classification", 2),
    Task("size", "regression", center=1.0),
    Task("wears", "multi-label", 2, classes=("hat", "ring")),
)
PARTS = {"train": slice(0, 4), "validation": slice(4, 7), "test": slice(7, 9)}


def bundle(**gaps: tuple[str, float]) -> DataBundle:
    """Return 9 images; a task is given one label throughout a part, by `task=(part, label)`."""
    targets = {"kind": np.zeros(9), "size": np.arange(9.0), "wears": np.ones((9, 2))}
    for task, (part, label) in gaps.items():
        targets[task][PARTS[part]] = label
    rows = np.arange(9)
    splits = Splits(*(rows[part] for part in PARTS.values()))
    images = np.random.default_rng(0).integers(0, 255, (9, 1, 2, 2), dtype=np.uint8)
    return bundle_from_arrays(images, targets, TASKS, splits=splits, name="own")


def test_labels_everywhere_are_fine() -> None:
    check_scorable(bundle())
    check_scorable(bundle(kind=("validation", 1)))  # accuracy is a number for one class, too


@pytest.mark.parametrize("task", ["kind", "size", "wears"])
@pytest.mark.parametrize(("part", "count"), [("train", 4), ("validation", 3), ("test", 2)])
def test_a_part_without_a_label_is_named(task: str, part: str, count: int) -> None:
    data = bundle(**{task: (part, np.nan)})
    with pytest.raises(DataError) as caught:
        check_scorable(data)
    text = str(caught.value)
    assert text.startswith(f"own: {part} part: {task}: at least one image with a label is needed")
    assert f"found none of {count} images; label some of them" in text


def test_what_is_measured_on_the_training_part_needs_a_label_there_only_if_it_takes_part() -> None:
    targets = {"kind": np.arange(9) % 2, "size": np.arange(9.0), "rare": np.arange(9) % 2}
    targets["size"][PARTS["train"]] = np.nan
    targets["rare"][PARTS["train"]] = -1
    tasks = (
        Task("kind", "classification", 2),
        Task("size", "regression"),
        Task("rare", "classification", 2, class_weights="balanced"),
    )
    splits = Splits(*(np.arange(9)[part] for part in PARTS.values()))
    images = np.random.default_rng(0).integers(0, 255, (9, 1, 2, 2), dtype=np.uint8)
    data = bundle_from_arrays(images, targets, tasks, splits=splits, name="own")
    check_scorable(data.with_tasks({"kind": 1.0}))
    with pytest.raises(DataError) as caught:
        check_scorable(replace(data, columns={"size": ("cm",)}))
    first, second = str(caught.value).splitlines()
    words = "at least one image with a label is needed; found none of 4 images; label some"
    assert first.startswith(f"own: train part: size (column `cm`): {words}")
    assert second.startswith(f"own: train part: rare: {words}")


def test_columns_are_named_and_all_is_said_at_once() -> None:
    data = bundle(kind=("test", -1), size=("validation", np.nan))
    with pytest.raises(DataError) as caught:
        check_scorable(replace(data, columns={"kind": ("type",)}))
    first, second = str(caught.value).splitlines()
    assert first.startswith("own: validation part: size: ")
    assert second.startswith("own: test part: kind (column `type`): ")


def test_average_precision_needs_a_positive_where_it_is_measured() -> None:
    check_scorable(bundle(wears=("train", 0)))
    with pytest.raises(DataError, match="test part: wears: average_precision needs at least one"):
        check_scorable(bundle(wears=("test", 0)))


class _Others:
    """Examples that are no array, as a user may bring them."""

    def __init__(self, part: Examples) -> None:
        self._part = part

    def __len__(self) -> int:
        return len(self._part)

    def batches(self, batch_size: int) -> Iterator[Batch]:
        return self._part.batches(batch_size)


def test_other_examples_are_asked_batch_by_batch() -> None:
    for data, refused in ((bundle(), False), (bundle(kind=("test", -1)), True)):
        other = replace(data, test=cast("Examples", _Others(data.test)))
        if not refused:
            check_scorable(other)
            continue
        with pytest.raises(DataError, match="test part: kind"):
            check_scorable(other)
