"""Data sets from arrays: what is measured, what is checked, what the fingerprint covers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfg_nas.data import Splits, bundle_from_arrays, bundle_from_dataset
from sfg_nas.data.arrays import measure
from sfg_nas.data.images import ImageSet
from sfg_nas.errors import DataError
from sfg_nas.tasks import Task

TASKS = (Task("kind", "classification", 3), Task("size", "regression", unit="mm"))
COUNT = 40
SPLITS = Splits(np.arange(0, 30), np.arange(30, 35), np.arange(35, 40))


def made() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, 2, 8, 8), dtype=np.uint8)
    return images, {"kind": rng.integers(0, 3, COUNT), "size": rng.normal(50, 9, COUNT)}


def test_everything_is_measured_on_train_only() -> None:
    images, targets = made()
    images[30:] = 255
    targets["size"][30:] = 1e6
    bundle = bundle_from_arrays(images, targets, TASKS, splits=SPLITS)
    for part in (bundle.train, bundle.validation, bundle.test):
        np.testing.assert_allclose(part.mean, images[:30].mean((0, 2, 3)), rtol=1e-12)
        np.testing.assert_allclose(part.std, images[:30].std((0, 2, 3)), rtol=1e-9)
    assert bundle.tasks[1].center == pytest.approx(targets["size"][:30].mean(), rel=1e-6)
    assert bundle.tasks[1].scale == pytest.approx(targets["size"][:30].std(), rel=1e-6)
    pixels, _ = next(bundle.train.batches(30))
    torch.testing.assert_close(pixels.mean((0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(pixels.std((0, 2, 3)), torch.ones(2), atol=1e-3, rtol=0)
    assert bundle.image_shape == (2, 8, 8)


def test_a_given_scale_is_kept() -> None:
    images, targets = made()
    tasks = (TASKS[0], Task("size", "regression", center=1.0, scale=2.0))
    bundle = bundle_from_arrays(images, targets, tasks)
    assert (bundle.tasks[1].center, bundle.tasks[1].scale) == (1.0, 2.0)


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64", "tensor"])
def test_measure_over_several_chunks(kind: str) -> None:
    images = np.random.default_rng(1).integers(0, 200, (2500, 3, 4, 4), dtype=np.uint8)
    given = images if kind in ("uint8", "tensor") else images.astype(kind)
    rows = np.random.default_rng(2).permutation(2500)[:2100]
    mean, std = measure(given, rows)  # type: ignore[arg-type]
    np.testing.assert_allclose(mean, images[rows].mean((0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(std, images[rows].std((0, 2, 3)), rtol=1e-9)
    assert measure(np.full((3, 1, 2, 2), 7, dtype=np.uint8), np.arange(3)) == ((7.0,), (1.0,))


@pytest.mark.parametrize(("scale", "offset"), [(1e-9, 0.0), (1.0, 0.0), (1.0, 1e5), (1e-6, 1.0)])
def test_units_of_pixels_do_not_count(scale: float, offset: float) -> None:
    images = (offset + scale * np.random.default_rng(3).normal(size=(40, 1, 8, 8))).astype(
        "float32"
    )
    images = np.concatenate([images, np.full_like(images, offset + scale)], axis=1)
    wide = images.astype(np.float64)
    mean, std = measure(images, np.arange(40))
    np.testing.assert_allclose(mean, wide.mean((0, 2, 3)), rtol=1e-9, atol=1e-9 * scale)
    np.testing.assert_allclose(std[0], wide[:, 0].std(), rtol=1e-6)
    assert std[1] == 1.0
    part = ImageSet(images[:, :1], np.arange(40), {}, mean[:1], std[:1], whitened=True)
    (whitened, _), *_ = part.batches(40)
    assert float(whitened.std()) == pytest.approx(1.0, rel=0.1)


def test_arrays_tensors_grey_and_volumes_are_taken() -> None:
    images, targets = made()
    tensors = {name: torch.from_numpy(values) for name, values in targets.items()}
    bundle = bundle_from_arrays(torch.from_numpy(images), tensors, TASKS)
    assert bundle.fingerprint == bundle_from_arrays(images, targets, TASKS).fingerprint
    assert (len(bundle.train), len(bundle.validation), len(bundle.test)) == (32, 4, 4)
    assert bundle_from_arrays(images[:, 0], targets, TASKS).image_shape == (1, 8, 8)
    volumes = images[:, :, None].astype(np.float64)
    found = bundle_from_arrays(volumes, targets, TASKS)
    assert found.image_shape == (2, 1, 8, 8)
    assert next(found.train.batches(2, seed=0, augment=("crop",)))[0].dtype == torch.float32


def test_another_memory_layout_gives_the_same_batches() -> None:
    images, targets = made()
    turned = np.ascontiguousarray(images.transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)
    bundle = bundle_from_arrays(turned, targets, TASKS)
    assert bundle.train.images.flags.c_contiguous
    np.testing.assert_array_equal(bundle.train.images, images)
    assert bundle.fingerprint == bundle_from_arrays(images, targets, TASKS).fingerprint


def test_missing_labels_become_minus_one_and_nan() -> None:
    images, targets = made()
    kinds = targets["kind"].astype(np.float64)
    kinds[:2] = np.nan
    targets["size"][1] = np.nan
    bundle = bundle_from_arrays(images, {**targets, "kind": kinds}, TASKS, splits=SPLITS)
    labels = bundle.train.targets
    assert labels["kind"].dtype == torch.int64
    assert labels["kind"][:3].tolist() == [-1, -1, int(kinds[2])]
    assert labels["size"].dtype == torch.float32
    assert torch.isnan(labels["size"]).tolist()[:3] == [False, True, False]


def test_masked_labels_are_missing_and_bfloat16_is_taken() -> None:
    images, targets = made()
    given = {
        "kind": np.ma.masked_equal(targets["kind"], 1),
        "size": torch.arange(COUNT, dtype=torch.bfloat16),
    }
    pixels = torch.from_numpy(images).to(torch.bfloat16)
    bundle = bundle_from_arrays(pixels, given, TASKS, splits=SPLITS)
    labels = bundle.train.targets
    wanted = np.where(targets["kind"] == 1, -1, targets["kind"])[SPLITS.train]
    assert labels["kind"].tolist() == wanted.tolist()
    assert labels["size"].tolist() == SPLITS.train.tolist()
    examples = [(images[i], {"kind": given["kind"][i]}) for i in range(COUNT)]
    found = bundle_from_dataset(examples, TASKS[:1]).train
    assert (
        found.targets["kind"].tolist()
        == np.where(targets["kind"] == 1, -1, targets["kind"])[found.indices].tolist()
    )


def test_the_fingerprint_covers_pixels_labels_and_split() -> None:
    images, targets = made()
    first = bundle_from_arrays(images, targets, TASKS, splits=SPLITS).fingerprint
    assert len(first) == 64
    assert bundle_from_arrays(*made(), TASKS, splits=SPLITS).fingerprint == first
    changed = images.copy()
    changed[39, 1, 7, 7] ^= 1
    others = {**targets, "kind": (targets["kind"] + 1) % 3}
    moved = Splits(np.arange(1, 30), np.array([0, *range(30, 35)]), np.arange(35, 40))
    assert bundle_from_arrays(changed, targets, TASKS, splits=SPLITS).fingerprint != first
    assert bundle_from_arrays(images, others, TASKS, splits=SPLITS).fingerprint != first
    assert bundle_from_arrays(images, targets, TASKS, splits=moved).fingerprint != first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((COUNT, 2), np.uint8)}, r"\[N, C, H, W\]"),
        ({"images": np.zeros((0, 2, 8, 8), np.uint8)}, r"\[N, C, H, W\]"),
        ({"images": np.zeros((COUNT, 2, 8, 8), np.int64)}, "uint8 or floating"),
        ({"images": np.full((COUNT, 2, 8, 8), np.nan)}, "finite pixels"),
        ({"kind": np.full(COUNT, 3)}, r"classes from 0 to 2.*found \[3\.0\]"),
        ({"kind": np.full(COUNT, -2)}, "classes from 0 to 2"),
        ({"kind": np.full(COUNT, 0.5)}, "classes from 0 to 2"),
        ({"kind": np.zeros(COUNT - 1)}, f"{COUNT} numbers, one per image"),
        ({"size": np.array(["a"] * COUNT)}, "numbers, one per image"),
        ({"size": np.full(COUNT, np.inf)}, "infinity"),
        ({"size": np.full(COUNT, np.nan)}, "at least one label"),
        ({"size": np.full(COUNT, 1j)}, "numbers, one per image"),
        ({"size": np.arange(COUNT).astype("timedelta64[s]")}, "numbers, one per image"),
        ({"images": np.ma.masked_less(made()[0], 9)}, "finite pixels"),
    ],
)
def test_wrong_arrays_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    images, targets = made()
    given = {"images": images, **targets} | change
    with pytest.raises(DataError, match=message):
        bundle_from_arrays(given.pop("images"), given, TASKS)


def test_missing_targets_and_rows_are_refused() -> None:
    images, targets = made()
    with pytest.raises(
        DataError, match="each task needs a name of its own; found kind, size, kind"
    ):
        bundle_from_arrays(images, targets, [*TASKS, TASKS[0]])
    with pytest.raises(DataError, match="size: each task needs labels"):
        bundle_from_arrays(images, {"kind": targets["kind"]}, TASKS)
    for row in (40, -1):
        wrong = Splits(np.arange(30), np.array([30]), np.array([row]))
        with pytest.raises(DataError, match="rows are numbers from 0 to 39"):
            bundle_from_arrays(images, targets, TASKS, splits=wrong)
