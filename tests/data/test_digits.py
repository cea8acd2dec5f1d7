"""The embedded digits: sources divided before composing, labels, options."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sfg_nas.data import load_data
from sfg_nas.data.digits import source_parts
from sfg_nas.errors import ConfigError

SMALL = {"train": 60, "validation": 20, "test": 20}


def test_sources_are_divided_by_class_without_a_rest() -> None:
    labels = load_digits().target
    parts = source_parts(labels, 0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
        counts = np.bincount(labels[part], minlength=10) / np.bincount(labels)
        np.testing.assert_allclose(counts, share, atol=0.02)
    assert not np.array_equal(source_parts(labels, 1)[0], parts[0])


def test_no_stroke_of_a_source_is_seen_in_two_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    # All pixels of a source hold its own number, so an image tells which sources it is made of.
    numbers = np.arange(1, 251, dtype=np.uint8)
    images = np.tile(numbers[:, None, None], (1, 8, 8)).astype(np.float64)
    labels = np.arange(250) % 10

    class Made:
        target = labels

    Made.images = images * (16 / 255)  # type: ignore[attr-defined]
    monkeypatch.setattr("sklearn.datasets.load_digits", Made)
    bundle = load_data("digits", train=400, validation=200, test=200)
    expected = [set((rows + 1).tolist()) for rows in source_parts(labels, 0)]
    for part, allowed in zip((bundle.train, bundle.validation, bundle.test), expected, strict=True):
        seen = set(np.unique(part.images[part.indices]).tolist()) - {0}
        assert seen <= allowed
        assert len(seen) > 0.8 * len(allowed)


def test_tasks_and_their_labels() -> None:
    bundle = load_data("digits", **SMALL)
    assert [(task.name, task.kind, task.outputs) for task in bundle.tasks] == [
        ("left", "classification", 10),
        ("right", "classification", 10),
        ("sum", "regression", 1),
    ]
    for part, count in ((bundle.train, 60), (bundle.validation, 20), (bundle.test, 20)):
        targets = part.targets
        assert len(part) == count
        assert (targets["sum"] == (targets["left"] + targets["right"])).all()
        assert not (targets["left"] == targets["right"]).all()


def test_both_digits_lie_on_their_side_and_overlap() -> None:
    bundle = load_data("digits", **SMALL, size=20)
    columns = (bundle.train.images[bundle.train.indices] > 60).sum((0, 1, 2))
    assert bundle.image_shape == (1, 20, 20)
    assert columns[8:12].min() > 0
    left, right = columns[:10].sum(), columns[10:].sum()
    assert 0.8 < left / right < 1.25


def test_seed_size_and_overlap_change_the_data() -> None:
    first = load_data("digits", **SMALL)
    assert load_data("digits", **SMALL).fingerprint == first.fingerprint
    for change in ({"seed": 1}, {"size": 20}, {"overlap": 0.3}, {"fraction": 0.5}):
        assert load_data("digits", **SMALL, **change).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    "wrong", [{"size": 11}, {"train": 0}, {"overlap": 1.0}, {"seed": -1}, {"fraction": 0.0}]
)
def test_impossible_options(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        load_data("digits", **wrong)
