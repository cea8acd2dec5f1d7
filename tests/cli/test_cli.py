from __future__ import annotations

import pytest

from sfg_nas import cli
from sfg_nas.errors import ConfigError, DataError, TrainingError


@pytest.mark.parametrize(
    ("raised", "code", "text"),
    [
        (ConfigError("a: b; found c; do"), 2, "error: a: b; found c; do\n"),
        (DataError("one\ntwo"), 2, "error: 2 things are wrong\n  one\n  two\n"),
        (TrainingError("x"), 1, "error: x\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (PermissionError(13, "Permission denied", "runs/x"), 1, "runs/x: the system refused"),
        (SystemExit(3), 3, ""),
    ],
)
def test_each_kind_of_error_has_its_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    code: int,
    text: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(cli, "app", fail)
    assert cli.run([]) == code
    assert text in capsys.readouterr().err


def test_our_own_mistakes_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ZeroDivisionError):
        cli.run([])
