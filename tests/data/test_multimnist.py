"""MultiMNIST from made idx files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from sfg_nas.data import DataBundle, load_data
from sfg_nas.data.multimnist import read_mnist
from sfg_nas.errors import DataError

COUNTS = {"train": 80, "validation": 30, "test": 30}


def load(mnist: Path, **options: object) -> DataBundle:
    return load_data("multimnist", root=mnist, **{**COUNTS, **options})


def test_idx_files_are_read(mnist: Path) -> None:
    images, labels = read_mnist(mnist / "mnist", "train")
    assert images.shape == (60, 28, 28)
    assert images[:, 5, 5].tolist() == list(range(1, 61))
    assert labels.tolist() == [n % 10 for n in range(1, 61)]


def test_left_and_right_lie_where_their_labels_say(mnist: Path) -> None:
    bundle = load(mnist, size=36)
    pixels = bundle.train.images[bundle.train.indices, 0]
    # The corners belong to one digit each; the pixel of a made digit is its own number.
    assert (pixels[:, 0, 0] % 10).tolist() == bundle.train.targets["left"].tolist()
    assert (pixels[:, 33, 33] % 10).tolist() == bundle.train.targets["right"].tolist()
    assert (pixels[:, 34:, :] == 0).all()
    np.testing.assert_array_equal(pixels[:, 15, 15], np.maximum(pixels[:, 0, 0], pixels[:, 33, 33]))
    assert load(mnist).image_shape == (1, 28, 28)


def test_no_source_is_seen_in_two_parts(mnist: Path) -> None:
    bundle = load(mnist, train=300, validation=100, test=100)
    train, validation, test = (
        set(np.unique(part.images[part.indices]).tolist()) - {0}
        for part in (bundle.train, bundle.validation, bundle.test)
    )
    assert train.isdisjoint(validation)
    assert len(train) == 50
    assert len(validation) == 10
    assert test == set(range(101, 121))


def test_the_seed_decides(mnist: Path) -> None:
    assert load(mnist).fingerprint == load(mnist).fingerprint
    assert load(mnist, seed=1).fingerprint != load(mnist).fingerprint
    assert len(load(mnist, fraction=0.1).train) == 8


def test_missing_and_damaged_files_are_named(mnist: Path) -> None:
    file = mnist / "mnist" / "t10k-labels-idx1-ubyte.gz"
    content = file.read_bytes()
    damages = (
        b"not gzip",
        content[: len(content) // 2],
        gzip.compress(b""),
        gzip.compress(struct.pack(">II", 2049, 20) + bytes(19)),
        gzip.compress(struct.pack(">II", 2049, 19) + bytes(19)),
        gzip.compress(struct.pack(">II", 2049, 20) + bytes([10] * 20)),
        gzip.compress(struct.pack(">II", 2305, 20) + bytes(20)),
    )
    for damage in damages:
        file.write_bytes(damage)
        with pytest.raises(DataError, match="t10k"):
            load(mnist)
    file.unlink()
    with pytest.raises(DataError, match="t10k-labels"):
        load(mnist)
