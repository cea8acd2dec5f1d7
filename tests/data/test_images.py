"""Batches: order, augmentation, normalisation, parts of parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfg_nas.data.images import Batch, ImageSet
from sfg_nas.errors import ConfigError
from tests.data.conftest import ROWS


def epoch_of(images: ImageSet, size: int = 4, **options: object) -> Batch:
    """Return a whole epoch as one batch."""
    batches = list(images.batches(size, **options))  # type: ignore[arg-type]
    targets = {name: torch.cat([target[name] for _, target in batches]) for name in batches[0][1]}
    return torch.cat([pixels for pixels, _ in batches]), targets


def normalised(images: ImageSet, rows: torch.Tensor) -> torch.Tensor:
    pixels = torch.from_numpy(images.images[rows.numpy()]).float()
    return torch.stack([(pixels[:, 0] - 100) / 10, (pixels[:, 1] - 50) / 20], dim=1)


def test_in_order_without_a_seed(images: ImageSet) -> None:
    pixels, targets = epoch_of(images)
    assert targets["row"].tolist() == ROWS.tolist()
    assert pixels.dtype == torch.float32
    torch.testing.assert_close(pixels, normalised(images, targets["row"]))
    assert [len(batch) for batch, _ in images.batches(4)] == [4, 4, 2]
    assert [len(batch) for batch, _ in images.batches(4, drop_last=True)] == [4, 4]


def test_images_and_labels_stay_together_when_shuffled(images: ImageSet) -> None:
    pixels, targets = epoch_of(images, seed=1)
    assert sorted(targets["row"].tolist()) == ROWS.tolist()
    assert targets["row"].tolist() != ROWS.tolist()
    assert torch.equal(targets["half"], targets["row"].float() / 2)
    torch.testing.assert_close(pixels, normalised(images, targets["row"]))


def test_seed_and_epoch_decide_bit_for_bit(images: ImageSet) -> None:
    options = {"seed": 4, "epoch": 7, "augment": ("flip", "crop")}
    first, again = epoch_of(images, **options), epoch_of(images, **options)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1]["row"], again[1]["row"])
    for change in ({"seed": 5}, {"epoch": 8}):
        assert not torch.equal(epoch_of(images, **(options | change))[1]["row"], first[1]["row"])


def test_the_batch_size_does_not_change_what_happens_to_an_image(images: ImageSet) -> None:
    options = {"seed": 4, "epoch": 1, "augment": ("flip", "crop")}
    small, large = epoch_of(images, 3, **options), epoch_of(images, 10, **options)
    assert torch.equal(small[0], large[0])


def test_augmentation_changes_images_anew_each_epoch_and_no_labels(images: ImageSet) -> None:
    plain, labels = epoch_of(images, seed=4)
    changed, same = epoch_of(images, seed=4, augment=("crop",))
    assert torch.equal(labels["row"], same["row"])
    assert not torch.equal(plain, changed)
    both = [epoch_of(images, seed=4, epoch=e, augment=("flip",)) for e in range(6)]
    row = ROWS[0]
    seen = {pixels[targets["row"] == row].numpy().tobytes() for pixels, targets in both}
    original = torch.from_numpy(images.images[[row]])
    allowed = {
        ((view.float() - torch.tensor([100.0, 50.0]).view(1, 2, 1, 1))
         * (1 / torch.tensor([10.0, 20.0]).view(1, 2, 1, 1))).numpy().tobytes()
        for view in (original, original.flip(-1))
    }  # fmt: skip
    assert seen == allowed


def test_the_draws_at_a_place_change_with_epoch_and_seed(images: ImageSet) -> None:
    # All images are the same one, so the order cannot make a difference.
    alike = ImageSet(images.images, np.repeat(ROWS[:1], 20), {}, images.mean, images.std)
    for name in ("flip", "crop"):
        runs = {
            torch.cat([x for x, _ in alike.batches(8, seed=s, epoch=e, augment=(name,))])
            .numpy()
            .tobytes()
            for s, e in ((0, 0), (0, 1), (1, 0))
        }
        assert len(runs) == 3


def test_the_global_streams_are_left_alone(images: ImageSet) -> None:
    before = torch.random.get_rng_state()
    epoch_of(images, seed=0, augment=("flip", "crop"))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_is_wrong_is_refused_at_the_call(images: ImageSet) -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        images.batches(0)
    with pytest.raises(ConfigError, match="seed"):
        images.batches(1, seed=-1)
    with pytest.raises(ConfigError, match="needs a seed"):
        images.batches(1, augment=("flip",))
    with pytest.raises(ConfigError, match="did you mean 'flip'"):
        images.batches(1, seed=0, augment=("flipp",))
    digits = ImageSet(images.images, ROWS, {}, (0.0, 0.0), (1.0, 1.0), augmentations=("crop",))
    with pytest.raises(ConfigError, match=r"true are allowed \(crop\); found 'flip'"):
        digits.batches(1, seed=0, augment=("flip",))


def test_float_images(images: ImageSet) -> None:
    floats = (images.images / 255).astype(np.float32)
    own = ImageSet(floats, ROWS, images.targets, (0.5, 0.25), (0.1, 0.2))
    pixels, _ = epoch_of(own)
    expected = (floats[ROWS] - np.array([0.5, 0.25], dtype=np.float32)[:, None, None]) / np.array(
        [0.1, 0.2], dtype=np.float32
    )[:, None, None]
    torch.testing.assert_close(pixels, torch.from_numpy(expected))


def test_memory_mapped_images_are_neither_changed_nor_needed_writable(
    images: ImageSet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("maps") / "images.npy"
    np.save(file, images.images)
    mapped = ImageSet(np.load(file, mmap_mode="r"), ROWS, images.targets, images.mean, images.std)
    options = {"seed": 2, "augment": ("flip", "crop")}
    assert torch.equal(epoch_of(mapped, **options)[0], epoch_of(images, **options)[0])
    np.testing.assert_array_equal(np.load(file), images.images)


def test_subsets_are_seeded_and_nested(images: ImageSet) -> None:
    small, large = images.subset(0.3, seed=2), images.subset(0.6, seed=2)
    assert (len(small), len(large), len(images.subset(0.001))) == (3, 6, 1)
    assert set(small.indices) < set(large.indices) < set(ROWS)
    assert small.targets["row"].tolist() == small.indices.tolist()
    assert images.subset(0.3, seed=3).indices.tolist() != small.indices.tolist()
    with pytest.raises(ConfigError, match="fraction"):
        images.subset(1.5)


def test_a_plain_image_is_whitened_to_zeros() -> None:
    pixels = np.full((1, 3, 4, 4), 77, dtype=np.uint8)
    part = ImageSet(pixels, np.array([0]), {}, (1.0,) * 3, (2.0,) * 3, whitened=True)
    (images, _), *_ = part.batches(1)
    assert torch.equal(images, torch.zeros(1, 3, 4, 4))
