"""The guard of conftest.py must catch what it says it catches."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from tests.conftest import changes, library_state, time_limit


def test_drawing_from_torch_is_allowed() -> None:
    before = library_state()
    torch.rand(3)
    assert changes(before, library_state()) == []


def test_numpy_and_python_streams_are_guarded() -> None:
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    before = library_state()
    np.random.random()  # noqa: NPY002
    random.random()  # noqa: S311
    found = changes(before, library_state())
    np.random.set_state(numpy_state)  # noqa: NPY002
    random.setstate(python_state)
    assert found == ["numpy random stream", "python random stream"]


@pytest.mark.parametrize(
    ("name", "change", "restore"),
    [
        (
            "torch default dtype",
            lambda: torch.set_default_dtype(torch.float64),
            lambda: torch.set_default_dtype(torch.float32),
        ),
        (
            "torch grad mode",
            lambda: torch.set_grad_enabled(False),
            lambda: torch.set_grad_enabled(True),
        ),
        (
            "torch threads",
            lambda: torch.set_num_threads(2),
            lambda: torch.set_num_threads(1),
        ),
        (
            "torch deterministic algorithms",
            lambda: torch.use_deterministic_algorithms(True),
            lambda: torch.use_deterministic_algorithms(False),
        ),
    ],
)
def test_torch_settings_are_guarded(name: str, change: object, restore: object) -> None:
    before = library_state()
    assert callable(change)
    assert callable(restore)
    change()
    found = changes(before, library_state())
    restore()
    assert found == [name]
    assert changes(before, library_state()) == []


def test_long_tests_come_first(request: pytest.FixtureRequest) -> None:
    limits = [time_limit(item) for item in request.session.items]
    assert limits == sorted(limits, reverse=True)


@pytest.mark.timeout(1234)
def test_a_time_limit_is_read(request: pytest.FixtureRequest) -> None:
    assert time_limit(request.node) == 1234
