from __future__ import annotations

import pytest

from sfg_nas.errors import ConfigError, TrainingError, within


def test_where_it_happened_stands_before_the_message() -> None:
    with (
        pytest.raises(TrainingError, match=r"^retrain: found, seed 0: epoch 2: a loss$") as caught,
        within("retrain: found, seed 0"),
        within("epoch 2"),
    ):
        raise TrainingError("a loss")
    assert isinstance(caught.value.__cause__, TrainingError)


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(ConfigError, match=r"^a key$"), within("retrain"):
        raise ConfigError("a key")
