"""Phantoms: every organ is there at every size, and the same seed gives the same one."""

from __future__ import annotations

import numpy as np
import pytest

from sfg_nas.data.volumes.phantom import FIELD, ORGANS, SMALLEST, Tissue, make_anatomy


@pytest.mark.parametrize("size", [SMALLEST, 64])
@pytest.mark.parametrize("seed", range(6))
def test_every_organ_is_there(size: int, seed: int) -> None:
    anatomy = make_anatomy(np.random.default_rng(seed), size)
    assert anatomy.tissues.shape == (size, size * 3 // 4, size // 4)
    assert np.allclose(np.multiply(anatomy.spacing, anatomy.tissues.shape), FIELD)
    if size > SMALLEST:
        assert set(np.unique(anatomy.tissues)) == set(Tissue)
    assert set(np.unique(anatomy.labels)) == {0, *ORGANS.values()}
    outside = anatomy.labels[anatomy.tissues == Tissue.OUTSIDE]
    assert not outside.any()


def test_a_seed_gives_one_phantom() -> None:
    one, same, other = (make_anatomy(np.random.default_rng(seed), 48) for seed in (3, 3, 4))
    assert np.array_equal(one.tissues, same.tissues)
    assert (one.labels != other.labels).mean() > 0.05


def test_marrow_lies_within_a_shell() -> None:
    tissues = make_anatomy(np.random.default_rng(0), 96).tissues
    marrow = tissues == Tissue.MARROW
    for axis in (0, 1):
        for step in (-1, 1):
            beside = np.roll(tissues, step, axis)[marrow]
            assert set(np.unique(beside)) <= {Tissue.MARROW, Tissue.CORTICAL}
