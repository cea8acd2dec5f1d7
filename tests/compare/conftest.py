"""The small study of `tests/study`, and a comparison of it that every test here may look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sfg_nas.compare import Comparison, compare
from sfg_nas.study import Study
from tests.study.conftest import make_study, tiny_data

__all__ = ["make_study", "tiny_data"]

Make = Callable[..., Study]


@pytest.fixture
def small(make_study: Make, tmp_path: Path) -> Callable[..., tuple[Study, Comparison]]:
    """Return a function that compares methods on the small study."""

    def run(*methods: str, seeds: int = 2, **changes: object) -> tuple[Study, Comparison]:
        study = make_study({"search.trials": 1, **changes})
        return study, compare(study, methods, seeds, runs=tmp_path)

    return run
