from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sfg_nas.backbones import BACKBONES, vision_names

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from sfg_nas.cli import main; main()"]


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("backbones", "vgg11"),
        ("datasets", "digits"),
        ("augmentations", "quarter-turns"),
        ("baselines", "hard-sharing"),
        ("spaces", "paper"),
        ("studies", "utkface"),
    ],
)
def test_list(call: Callable, what: str, name: str) -> None:
    rows = json.loads(call("list", what, "--json").out)
    assert name in [row["name"] for row in rows]
    plain = call("list", what)
    assert plain.code == 0
    assert name in plain.out
    assert all(row.get("what", "x") for row in rows), "each entry says what it is"


def test_list_has_every_backbone(call: Callable) -> None:
    rows = json.loads(call("list", "backbones", "--json").out)
    names = [row["name"] for row in rows]
    assert names[: len(BACKBONES)] == list(BACKBONES)
    assert names[len(BACKBONES) :] == list(vision_names() or ["torchvision/NAME"])


def test_list_knows_what_it_can_list(call: Callable) -> None:
    answer = call("list", "things")
    assert answer.code == 2
    assert "backbones" in answer.err


def test_doctor(call: Callable, tmp_path: Path) -> None:
    answer = call("doctor", "--json", "--data-root", tmp_path / "none")
    said = json.loads(answer.out)
    assert answer.code == (0 if said["ready"] else 1)
    assert "no such folder" in said["folders"]["data root"]
    assert "cpu" in said["machine"]["devices"]
    assert said["storage"]["works"] is True
    assert "python" in call("doctor").out


def ask(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_and_version_are_quick_and_load_nothing_heavy() -> None:
    code = "import sys, sfg_nas.cli; print({m.split('.')[0] for m in sys.modules})"
    loaded = ask([sys.executable, "-c", code])
    assert loaded.returncode == 0, loaded.stderr
    for heavy in ("torch", "optuna", "pandas", "matplotlib", "sklearn", "pydantic", "yaml"):
        assert f"'{heavy}'" not in loaded.stdout
    seconds = []
    for option in ("--help", "-h", "--version"):
        before = processor_seconds()
        done = ask([*COMMAND, option])
        seconds.append(processor_seconds() - before)
        assert done.returncode == 0, done.stderr
        assert "sfg-nas" in done.stdout
    assert min(seconds) < 0.5  # of the processor: the wall clock depends on who else is running


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_no_command_shows_the_help(call: Callable) -> None:
    answer = call()
    assert "search" in answer.out + answer.err
