from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sfg_nas import cli
from sfg_nas.cli.output import json_result, note, result
from sfg_nas.errors import ConfigError, DataError, TrainingError


@pytest.mark.parametrize(
    ("raised", "code", "text"),
    [
        (ConfigError("a: b; found c; do"), 2, "error: a: b; found c; do\n"),
        (DataError("one\ntwo"), 2, "error: 2 things are wrong\n  one\n  two\n"),
        (TrainingError("x"), 1, "error: x\n"),
        (
            MemoryError(),
            1,
            "error: sfg-nas: all of it must fit into memory; found too little; lower",
        ),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (PermissionError(13, "Permission denied", "runs/x"), 1, "runs/x: the system refused"),
        (OSError(28, "No space left on device"), 1, "found No space left on device; make room, "),
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


def test_streams_that_are_closed_or_lack_signs_lose_no_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.BytesIO()
    with io.TextIOWrapper(written, encoding="latin-1") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        cli._open_streams()
        result("Δ −1 ± 2")
        json_result({"Δ": -1})
        stream.flush()
        lines = written.getvalue().decode("latin-1").splitlines()
    assert lines[0] == "? ?1 ± 2"
    assert json.loads("".join(lines[1:])) == {"Δ": -1}
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    cli._open_streams()
    with sys.stdout, sys.stderr:
        result("said to nobody")
        note("nor this")


COMMAND = Path(sys.executable).parent / "sfg-nas"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("sfg-nas se", {"search"}),
        ("sfg-nas search --tri", {"--trials"}),
        ("sfg-nas list ba", {"backbones", "baselines"}),
    ],
)
def test_a_shell_completes_commands_options_and_choices(words: str, wanted: set[str]) -> None:
    asked = {"_SFG_NAS_COMPLETE": "complete_bash", "COMP_WORDS": words}
    asked["COMP_CWORD"] = str(words.count(" "))
    done = subprocess.run(
        [COMMAND], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert set(done.stdout.split()) == wanted


def test_completion_is_installed_for_a_shell(tmp_path: Path) -> None:
    asked = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    call = [COMMAND, "--install-completion", "bash"]
    subprocess.run(call, env={**os.environ, **asked}, capture_output=True, check=True)
    script = (tmp_path / ".bash_completions" / "sfg-nas.sh").read_text(encoding="utf-8")
    assert "_SFG_NAS_COMPLETE=complete_bash" in script
    assert "sfg-nas.sh" in (tmp_path / ".bashrc").read_text(encoding="utf-8")
