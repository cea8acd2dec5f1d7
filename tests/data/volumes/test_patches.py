"""Batches of patches: balanced, the same for the same seed, every voxel scored once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sfg_nas.data.location import Location
from sfg_nas.data.volumes import Patches, load
from sfg_nas.errors import ConfigError
from sfg_nas.training import predict_volume


@pytest.fixture(scope="module")
def flat(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Patches:
    data = load(
        Location(made, tmp_path_factory.mktemp("cache")), patch=[16, 16], patches=60, validation=1
    )
    assert isinstance(data.train, Patches)
    return data.train


@pytest.mark.parametrize("patch", [(16, 16), (40, 40), (8, 8, 4), (64, 16, 20)])
def test_shapes(flat: Patches, patch: tuple[int, ...]) -> None:
    part = replace(flat, patch=patch)
    for seed in (0, None):
        images, targets = next(part.batches(4, seed=seed))
        assert images.shape == (4, 1, *patch)
        assert images.dtype == torch.float32
        assert torch.isfinite(images).all()
        assert targets["ct"].shape == (4, 2, *patch)
        assert targets["organs"].shape == (4, *patch)
        known = targets["organs"] >= 0
        assert torch.equal(known, ~targets["ct"][:, 0].isnan())
        assert torch.equal(targets["ct"][:, 1][known], targets["organs"][known] - 1.0)


def test_beyond_a_small_volume_stands_what_stands_there_in_a_prediction(flat: Patches) -> None:
    subject = flat.subjects[0]
    mr = np.array(subject.mr)
    mr[0, 0, 0] = 3.0  # the body fills the whole image, as in a prostate's scan
    part = replace(flat, patch=(64, 64, 40), subjects=(replace(subject, mr=mr),), count=None)
    image = next(part.batches(1))[0][0, 0].numpy()
    seen: list[torch.Tensor] = []

    def network(images: torch.Tensor) -> dict[str, torch.Tensor]:
        seen.append(images[0, 0])
        return {}

    class Network(torch.nn.Module):
        forward = staticmethod(network)

    predict_volume(Network(), mr, (64, 64, 40), ())
    assert image.min() == mr.min() == image[0, 0, 0]
    assert np.array_equal(np.sort(seen[0].flatten()), np.sort(image.ravel()))


def test_an_epoch_depends_on_seed_and_epoch_only(flat: Patches) -> None:
    names = ["flip", "affine", "intensity"]

    def epoch(size: int, seed: int, number: int) -> torch.Tensor:
        return torch.cat([x for x, _ in flat.batches(size, seed=seed, epoch=number, augment=names)])

    assert torch.equal(epoch(7, 3, 2), epoch(20, 3, 2))
    assert not torch.equal(epoch(7, 3, 2), epoch(7, 3, 3))
    assert not torch.equal(epoch(7, 3, 2), epoch(7, 4, 2))
    assert len(epoch(60, 0, 0)) == len(flat) == 60
    assert sum(len(x) for x, _ in flat.batches(7, seed=0, drop_last=True)) == 56


def test_small_organs_are_seen_as_often_as_large_ones(flat: Patches) -> None:
    shares = torch.zeros(5)
    for _, targets in replace(flat, count=400).batches(100, seed=0):
        for organ in range(5):
            shares[organ] += (targets["organs"] == organ).flatten(1).any(1).sum() / 400
    assert shares.min() > 0.2
    volume = np.mean([(s.labels == 2).mean() for s in flat.subjects])  # type: ignore[union-attr]
    assert volume < 0.02


def test_scores_count_every_voxel_of_the_body_once(flat: Patches) -> None:
    for patch, margin in (((16, 16), 2), ((16, 16), 0), ((20, 12, 5), 1)):
        part = replace(flat, patch=patch, margin=margin, count=None)
        counts = torch.zeros(5, dtype=torch.int64)
        for _, targets in part.batches(16):
            known = targets["organs"][targets["organs"] >= 0]
            counts += torch.bincount(known, minlength=5)
        organs = [sum(int((s.labels == n).sum()) for s in part.subjects) for n in range(1, 5)]
        assert counts[1:].tolist() == organs
        assert sum(len(images) for images, _ in part.batches(16)) == len(part)


def test_augmentations_are_checked(flat: Patches) -> None:
    with pytest.raises(ConfigError, match="needs a seed"):
        flat.batches(4, augment=["flip"])
    with pytest.raises(ConfigError, match="did you mean 'flip'"):
        flat.batches(4, seed=0, augment=["flap"])
    with pytest.raises(ConfigError):
        flat.batches(0)


def test_tasks_can_be_left_out(flat: Patches) -> None:
    assert set(next(flat.keep(["organs"]).batches(2, seed=0))[1]) == {"organs"}


def test_the_subjects_that_have_a_file_of_a_task_are_counted(flat: Patches) -> None:
    first, *others = flat.subjects
    bare = [replace(subject, ct=None) for subject in others]
    assert replace(flat, subjects=(first, *bare)).subjects_with("ct") == 1
    assert replace(flat, subjects=tuple(bare)).subjects_with("ct") == 0
    assert replace(flat, subjects=tuple(bare)).subjects_with("organs") == len(bare)
