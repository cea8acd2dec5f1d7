"""What only a regression refuses."""

from __future__ import annotations

import pytest

from sfg_nas.errors import ConfigError
from sfg_nas.tasks import Task


@pytest.mark.parametrize(
    "options", [{"classes": ("a",)}, {"class_weights": (1.0,)}, {"class_weights": "balanced"}]
)
def test_classes_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="class"):
        Task("size", "regression", **options)  # type: ignore[arg-type]
