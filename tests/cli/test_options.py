"""Options outside their range: what is needed, what was found, what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sfg_nas.cli.options import number, whole
from sfg_nas.errors import ConfigError


def test_numbers_in_their_range_are_read() -> None:
    assert whole("--trials", 1)("3") == 3
    assert whole("--port", 0, 65535)("65535") == 65535
    assert number("--gpus", 0)("0.5") == 0.5


@pytest.mark.parametrize("text", ["0", "-1", "", "x", "1.5", "65536"])
def test_others_are_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        whole("--port", 1, 65535)(text)
    words = "--port: a whole number of 1 to 65535 is needed; found "
    assert str(caught.value) == f"{words}{text!r}; give one, or leave the option out"


@pytest.mark.parametrize("text", ["0", "nan", "inf", ""])
def test_numbers_are_finite_and_large_enough(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--cpus: a number of at least 0\.1 is needed; found"):
        number("--cpus", 0.1)(text)


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("search", "--trials"),
        ("search", "--workers"),
        ("search", "--cpus"),
        ("retrain", "--seeds"),
        ("compare", "--seeds"),
        ("compare", "--workers"),
        ("status", "--every"),
    ],
)
@pytest.mark.parametrize("value", ["0", ""])
def test_commands_say_it(
    call: Callable, study: Path, command: str, option: str, value: str
) -> None:
    answer = call(command, study, option, value)
    assert answer.code == 2
    assert answer.err.startswith(f"error: {option}: a ")
    assert f"found {value!r}; give one, or leave the option out\n" in answer.err
