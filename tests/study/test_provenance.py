"""What a run is said to have been made with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sfg_nas.study import RunFiles, Study
from sfg_nas.study import provenance as module
from sfg_nas.study.provenance import begin_run, software


def test_versions_of_the_beginning_and_of_now(
    make_study: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = RunFiles(tmp_path / "tiny")
    begin_run(make_study(), files)
    begun = software(files)
    assert begun.endswith(f", torch {torch.__version__}")
    assert "begun" not in begun
    newer = {"sfg_nas": "9.0", "torch": "8.1"}
    monkeypatch.setattr(module, "version", newer.__getitem__)
    assert software(files) == f"begun with {begun}, this call with sfg_nas 9.0, torch 8.1"
