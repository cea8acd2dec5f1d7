"""Every test starts from the same random state and must leave global state as it found it."""

from __future__ import annotations

import gc
import importlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

SEED = 20191027  # the day the paper was presented; any number would do

# By default the workers of Ray give way to every other process: to other tests, until they run out of time.
os.environ.setdefault("RAY_worker_niceness", "0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that may take longest: the last of several processes would have such a one to itself."""
    items.sort(key=time_limit, reverse=True)  # stable: those alike keep their order


def pytest_collection_finish() -> None:
    """Look for garbage less often: what an export leaves behind made a tenth of the time of all conversions."""
    gc.collect()
    gc.freeze()  # the tests themselves stay to the end
    gc.set_threshold(50_000, 20, 20)


def time_limit(item: pytest.Item) -> float:
    """Return the seconds that a test asks for, 0 if it has the usual time."""
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark is not None and mark.args else 0.0


def library_state() -> dict[str, object]:
    """Return what a test could change for all tests after it, by name."""
    return {
        "torch default dtype": torch.get_default_dtype(),
        "torch default device": str(torch.get_default_device()),
        "torch threads": torch.get_num_threads(),
        "torch grad mode": torch.is_grad_enabled(),
        "torch inference mode": torch.is_inference_mode_enabled(),
        "torch anomaly mode": torch.is_anomaly_enabled(),
        "torch deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "torch deterministic warn only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "torch float32 matmul precision": torch.get_float32_matmul_precision(),
        "cudnn benchmark": torch.backends.cudnn.benchmark,
        "cudnn deterministic": torch.backends.cudnn.deterministic,
        "numpy error handling": np.geterr(),
        "numpy random stream": repr(np.random.get_state()),  # noqa: NPY002 - it is what we guard
        "python random stream": hash(random.getstate()),
        "working folder": Path.cwd(),
        "environment": {k: v for k, v in os.environ.items() if k.startswith("SFG_NAS")},
    }


def changes(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """Return the names whose values differ."""
    return [name for name, value in before.items() if after[name] != value]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Run torch on one thread: sums are the same on every machine, and small tests are faster."""
    importlib.import_module("sklearn.model_selection")  # draws from Python's stream the first time
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def seed_and_guard() -> Iterator[None]:
    """Seed the global streams, then fail if the test leaves global state changed.

    The stream of torch may move, since layers draw their first weights from it; those of NumPy and
    Python may not, since the package takes seeds and generators instead.
    """
    torch.manual_seed(SEED)
    np.random.seed(SEED % 2**32)  # noqa: NPY002 - for libraries that read the global stream
    random.seed(SEED)
    before = library_state()
    yield
    changed = changes(before, library_state())
    if "torch default dtype" in changed:
        torch.set_default_dtype(torch.float32)
    if "torch grad mode" in changed:
        torch.set_grad_enabled(True)
    if "torch threads" in changed:
        torch.set_num_threads(1)
    if "torch deterministic algorithms" in changed:
        torch.use_deterministic_algorithms(False)
    assert not changed, f"the test left global state changed: {', '.join(changed)}"
