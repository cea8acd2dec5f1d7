"""Seeds for the parts of a study, and a fence around torch's global random state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(seed: int, *path: str | int) -> int:
    """Return a seed in [0, 2^31) for one part of an experiment, by its place in the tree of seeds.

    Args:
        seed: The experiment's seed.
        path: Words and numbers that name the part, such as `"trial", 3, "weights"`.
    """
    text = "/".join(map(str, (seed, *path)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


@contextmanager
def fenced_random_state(
    seed: int | None = None, device: torch.device | None = None
) -> Iterator[None]:
    """Give the body torch's global random state to itself and put the old one back afterwards.

    Layers draw their initial weights and their dropout from the global state; nothing else in this package does.

    Args:
        seed: Where the body's random numbers start; None goes on from the present state.
        device: A CUDA device whose state is fenced too.
    """
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        if seed is not None:
            torch.manual_seed(seed)
        yield
