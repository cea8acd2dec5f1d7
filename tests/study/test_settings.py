from __future__ import annotations

import pytest

from sfg_nas.config import TrainingConfig
from sfg_nas.study.settings import training_settings


@pytest.mark.parametrize(
    ("warmup", "epochs", "other", "expected"),
    [(0.5, 1, None, 0.5), (1.75, 2, None, 1.75), (1.5, 4, 2, 1.5), (3, 4, 2, 1), (2, 4, None, 2)],
)
def test_a_warm_up_is_cut_only_where_it_does_not_fit_the_epochs(
    warmup: float, epochs: int, other: int | None, expected: float
) -> None:
    section = TrainingConfig(warmup_epochs=warmup, epochs=epochs)
    assert training_settings(section, (), epochs=other).warmup_epochs == expected
