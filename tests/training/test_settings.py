from __future__ import annotations

import pytest

from sfg_nas.errors import ConfigError
from sfg_nas.training import Settings, learning_rate_factor


def test_constant_stays() -> None:
    settings = Settings(epochs=2, batch_size=4)
    assert [learning_rate_factor(settings, step, 3) for step in range(6)] == [1.0] * 6


def test_cosine_falls_from_one_to_almost_zero_after_a_linear_warm_up() -> None:
    settings = Settings(epochs=4, batch_size=4, schedule="cosine", warmup_epochs=1)
    factors = [learning_rate_factor(settings, step, 4) for step in range(16)]
    assert factors[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert factors[4] == 1.0
    assert factors[10] == pytest.approx(0.5)
    assert factors[4:] == sorted(factors[4:], reverse=True)
    assert 0 < factors[-1] < 0.05


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("optimizer", "lion"),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("weight_decay", -1.0),
        ("schedule", "step"),
        ("warmup_epochs", 9.0),
        ("clip", 0.0),
        ("patience", 0),
    ],
)
def test_impossible_values_are_named(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"training.{key}"):
        Settings(**{"epochs": 3, "batch_size": 4, key: value})  # type: ignore[arg-type]
