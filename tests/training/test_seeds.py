from __future__ import annotations

import torch

from sfg_nas.training import derive_seed, fenced_random_state


def test_seeds_differ_by_place_and_are_stable() -> None:
    places = [("trial", n, part) for n in range(20) for part in ("weights", "data")]
    seeds = {derive_seed(0, *place) for place in places} | {derive_seed(1, *places[0])}
    assert len(seeds) == len(places) + 1
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive_seed(0, "trial", 3) == derive_seed(0, "trial", 3)
    assert derive_seed(0, 1, 2) != derive_seed(0, 12)


def test_the_fence_gives_a_stream_and_puts_the_old_one_back() -> None:
    before = torch.get_rng_state()
    with fenced_random_state(7):
        one = torch.rand(3)
    with fenced_random_state(7):
        assert torch.equal(torch.rand(3), one)
    assert torch.equal(torch.get_rng_state(), before)
