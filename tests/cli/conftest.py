"""One small study, searched once for all tests of the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import rich.style  # noqa: F401 (its import draws from Python's random stream, which tests must leave alone)
import torch

from sfg_nas.cli import run

STUDY = """\
name: small
data: {kind: digits, train: 96, validation: 48, test: 48}
backbone: {kind: vgg11, width: 0.0625, depth: 3}
sharing: {start: {kind: near-shared}}
training: {epochs: 1, batch_size: 32}
search:
  trials: 2
  space:
    sharing.lambda2: {type: float, low: -1, high: 1}
    backbone.depth: {type: int, low: 2, high: 3}
retrain: {seeds: 2}
"""


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Return a function that runs a command inside this process."""

    def ask(*arguments: str | Path) -> Answer:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return ask


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Return a small study's file."""
    path = tmp_path / "small.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the run of the small study, searched and retrained."""
    folder = tmp_path_factory.mktemp("runs")
    path = folder / "small.yaml"
    path.write_text(STUDY, encoding="utf-8")
    torch.manual_seed(0)
    assert run(["search", str(path), "--runs", str(folder), "-q", "--device", "cpu"]) == 0
    assert run(["retrain", "small", "--runs", str(folder), "-q", "--device", "cpu"]) == 0
    return folder
