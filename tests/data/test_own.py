"""Any data set that yields `(image, {task: target})`."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from sfg_nas.data import ImageSet, bundle_from_dataset
from sfg_nas.errors import DataError
from sfg_nas.study import load_study, search
from sfg_nas.tasks import Task

COUNT = 40


class Own(Dataset[tuple[object, dict[str, object]]]):
    """Grey images with targets of every flat type, some of them missing."""

    def __init__(self, count: int = COUNT) -> None:
        self.count = count

    def __len__(self) -> int:
        """Count the examples."""
        return self.count

    def __getitem__(self, index: int) -> tuple[object, dict[str, object]]:
        """Return an example."""
        pixels = torch.full((1, 8, 8), index * 5, dtype=torch.uint8)
        pixels[0, 0, 0] = 255 - index
        targets: dict[str, object] = {
            "kind": torch.tensor(index % 3),
            "size": float(index) if index % 5 else None,
            "wears": np.array([index % 2, 1, -1 if index == 2 else 0]),
        }
        if index == 7:
            del targets["kind"]
        return pixels, targets


class Stream(IterableDataset[tuple[object, dict[str, object]]]):
    """The same, one after the other, as Pillow's images."""

    def __iter__(self) -> Iterator[tuple[object, dict[str, object]]]:
        """Yield the examples."""
        for pixels, targets in (Own()[index] for index in range(COUNT)):
            assert isinstance(pixels, Tensor)
            yield Image.fromarray(pixels[0].numpy()), targets


def test_tasks_are_told_by_the_type_of_the_targets() -> None:
    bundle = bundle_from_dataset(Own())
    kinds = {task.name: (task.kind, task.outputs) for task in bundle.tasks}
    assert kinds == {
        "kind": ("classification", 3), "size": ("regression", 1), "wears": ("multi-label", 3),
    }  # fmt: skip
    assert bundle.image_shape == (1, 8, 8)
    assert bundle.train.images.dtype == np.uint8
    rows = np.concatenate([part.indices for part in (bundle.train, bundle.validation, bundle.test)])
    assert sorted(rows.tolist()) == list(range(COUNT))
    for part in (bundle.train, bundle.validation, bundle.test):
        for place, row in enumerate(part.indices.tolist()):
            assert part.targets["kind"][place] == (-1 if row == 7 else row % 3)
            assert torch.isnan(part.targets["size"][place]) == (row % 5 == 0)
            assert part.targets["wears"][place].tolist() == [row % 2, 1, -1 if row == 2 else 0]


@pytest.mark.parametrize("place", [0, COUNT - 1])
def test_a_missing_target_tells_no_type(place: int) -> None:
    nan, whole = float("nan"), np.zeros((8, 8), dtype=np.int64)
    whole[0, 0] = 2
    columns: dict[str, tuple[object, object]] = {
        "kind": (2, nan),
        "wears": ([0, 1, nan], [nan, nan, nan]),
        "mask": (whole, np.full((8, 8), nan)),
    }
    examples = [
        (np.full((1, 8, 8), at, np.uint8), {k: v[at == place] for k, v in columns.items()})
        for at in range(COUNT)
    ]
    bundle = bundle_from_dataset(examples)
    found = [(task.name, task.kind, task.outputs) for task in bundle.tasks]
    assert found == [
        ("kind", "classification", 3),
        ("wears", "multi-label", 3),
        ("mask", "segmentation", 3),
    ]


def test_streams_and_given_parts() -> None:
    assert bundle_from_dataset(Stream()).fingerprint == bundle_from_dataset(Own()).fingerprint
    parts = {"train": Own(20), "validation": Own(6), "test": Own(4)}
    bundle = bundle_from_dataset(parts)
    assert (len(bundle.train), len(bundle.validation), len(bundle.test)) == (20, 6, 4)
    assert bundle.validation.targets["kind"].tolist() == [0, 1, 2, 0, 1, 2]
    tasks = [Task("kind", "ordinal", 3), Task("size", "regression", unit="mm")]
    named = bundle_from_dataset(Own(), tasks)
    assert [(task.kind, task.unit) for task in named.tasks] == [
        ("ordinal", None),
        ("regression", "mm"),
    ]


def test_maps_are_dense_tasks() -> None:
    rng = np.random.default_rng(0)
    examples = [
        (rng.random((3, 8, 8), dtype=np.float32), {"what": rng.integers(0, 4, (8, 8)), "far": rng.random((8, 8))})
        for _ in range(12)
    ]  # fmt: skip
    bundle = bundle_from_dataset(examples)
    assert {task.kind for task in bundle.tasks} == {"segmentation", "dense-regression"}
    assert bundle.train.targets["what"].shape[1:] == (8, 8)


def test_a_study_is_searched_on_it(tmp_path: Path) -> None:
    study = {
        "name": "own",
        "data": {"kind": "mine"},
        "backbone": {"kind": "vgg11", "width": 0.0625, "depth": 2},
        "sharing": {"start": {"kind": "near-shared"}},
        "training": {"epochs": 1, "batch_size": 8},
        "search": {"trials": 1, "space": {}},
    }
    run = search(load_study(study, data=Own()), runs=tmp_path)
    assert set(run.best.architecture.tasks) == {"kind", "size", "wears"}


@pytest.mark.parametrize(
    ("dataset", "text"),
    [
        ([], "at least one example"),
        (3, "__getitem__ and __len__"),
        ([(np.zeros((1, 8, 8)), 3)], r"\(image, \{task: target\}\)"),
        ([(np.zeros((8, 8)), {"a": 1})], r"images \[C, H, W\]"),
        ([(np.zeros((1, 8, 8)), {"a": None})], "own: a: at least one target"),
        ([(np.zeros((1, 8, 8)), {"a": np.array([1.5, 2.0])})], "own: a: a number, a vector"),
        ({"train": [], "test": []}, "train, validation, test are needed"),
        ([(np.zeros((1, 8, 8)), {"a": "cat"})], "own: a: numbers are needed; found 'cat'"),
        ([(np.zeros((1, 8, 8)), {"a": [1, [2, 3]]})], "own: a: numbers are needed"),
        ([(np.zeros((1, 8, 8)), {"a": {"b": 1}})], "own: a: numbers are needed"),
        ([("a.png", {"a": 1})], "own: example 0: image: numbers are needed; found 'a.png'"),
        ([(np.zeros((1, 8, 8)), {3: 1})], "names of tasks must be text; found 3"),
        ([(np.zeros((32, 32, 3)), {"a": k % 2}) for k in range(20)], r"looks like \[N, H, W, C\]"),
        (
            [(np.zeros((3, 8, 8), ("uint8", "float32")[k % 2]), {"a": 1}) for k in range(2)],
            "images of one type are needed; found float32, uint8",
        ),
    ],
)
def test_what_cannot_be_used_is_said(dataset: object, text: str) -> None:
    with pytest.raises(DataError, match=text):
        bundle_from_dataset(dataset)  # type: ignore[arg-type]


def test_images_of_different_sizes_are_refused() -> None:
    examples = [(np.zeros((1, side, 8)), {"a": 1}) for side in (8, 9)]
    with pytest.raises(DataError, match="same shape"):
        bundle_from_dataset(examples)


def test_a_palette_s_colours_are_read_not_its_places() -> None:
    colours = np.random.default_rng(0).integers(0, 2, (20, 8, 8, 3), dtype=np.uint8) * 255
    images = [Image.fromarray(pixels) for pixels in colours]
    examples = [(image.convert("P"), {"a": k % 2}) for k, image in enumerate(images)]
    found = bundle_from_dataset(examples).train
    assert isinstance(found, ImageSet)
    assert np.array_equal(found.images, colours.transpose(0, 3, 1, 2))


def test_other_kinds_of_numbers_are_taken() -> None:
    examples = [
        (torch.full((1, 8, 8), float(k)).bfloat16(), {"a": Decimal(k) / 2}) for k in range(20)
    ]
    data = bundle_from_dataset(examples)
    assert data.tasks[0].kind == "regression"
    assert isinstance(data.train, ImageSet)
    rows = data.train.indices
    assert data.train.targets["a"].tolist() == (rows / 2).tolist()
