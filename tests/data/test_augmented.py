"""Labels on the pixels move with the images of an epoch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfg_nas.data import DataBundle, bundle_from_arrays
from sfg_nas.data.augmented import unfit
from sfg_nas.errors import ConfigError
from sfg_nas.tasks import Task

TASKS = (
    Task("what", "segmentation", 100),
    Task("far", "dense-regression", center=1.0),
    Task("faces", "normals", 3),
    Task("kind", "classification", 2),
)


def bundle(tasks: tuple[Task, ...] = TASKS) -> DataBundle:
    """Return images whose pixels say where they come from, with labels that say the same."""
    places = np.tile(np.arange(96, dtype=np.int64).reshape(8, 12), (20, 1, 1))
    images = np.repeat(places[:, None], 3, axis=1).astype(np.float32)
    faces = np.zeros((20, 3, 8, 12))
    faces[:, 0], faces[:, 2] = 0.6, 0.8
    targets = {"what": places, "far": places.astype(float), "faces": faces, "kind": [0, 1] * 10}
    return bundle_from_arrays(images, {task.name: targets[task.name] for task in tasks}, tasks)


@pytest.mark.parametrize("augment", [("flip",), ("crop",), ("flip-vertical", "crop", "flip")])
def test_labels_stay_on_their_pixels(augment: tuple[str, ...]) -> None:
    train = bundle().train
    moved = False
    for images, targets in train.batches(5, seed=3, augment=augment):
        place = images[:, 0] * train.std[0] + train.mean[0]
        torch.testing.assert_close(targets["far"], place, atol=1e-3, rtol=0)
        assert torch.equal(targets["what"], place.round().long())
        moved = moved or bool((place[:, 0, 0].round() != 0).any())
        assert set(targets["kind"].tolist()) <= {0, 1}
        right = place[:, :, 1:] - place[:, :, :-1]
        mirrored = (right.round() == -1)[:, :, :-1]
        signs = targets["faces"][:, 0, :, 1:-1].sign()
        known = right[:, :, :-1].round() == right[:, :, 1:].round()  # not at a seam
        assert torch.equal(signs[known] == -1, mirrored[known])
        assert (targets["faces"][:, 2] > 0).all()
    assert moved


def test_a_stored_part_is_not_changed() -> None:
    train = bundle().train
    before = {name: labels.clone() for name, labels in train.targets.items()}
    list(train.batches(5, seed=0, augment=("flip", "crop", "erase")))
    assert all(torch.equal(train.targets[name], before[name]) for name in before)


def test_what_cannot_be_used_is_said_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="which way the axes of `faces` point"):
        bundle().train.batches(5, seed=0, augment=("rotate",))
    bundle(TASKS[:2]).train.batches(5, seed=0, augment=("rotate",))
    assert bundle().train.keep(["what"]).batches(5, seed=0, augment=("rotate",))
    assert "3 channels" in unfit("colour", (1, 8, 8), ("colour",), ())
    assert "2 axes" in unfit("rotate", (1, 8), ("rotate",), ())
    assert "allowed (crop)" in unfit("flip", (1, 8, 8), ("crop",), ())
    assert unfit("flip", (1, 8, 8), ("flip",), TASKS) == ""
