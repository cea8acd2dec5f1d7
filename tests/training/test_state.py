from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from sfg_nas.training import make_fabric


@pytest.mark.parametrize(("precision", "dtype"), [("32", torch.float32), ("64", torch.float64)])
def test_a_fabric_has_the_device_and_precision(precision: str, dtype: torch.dtype) -> None:
    fabric = make_fabric("cpu", precision=precision)
    assert fabric.device == torch.device("cpu")
    assert fabric.setup(nn.Linear(2, 2)).weight.dtype == dtype


@pytest.mark.filterwarnings("error")
def test_the_tasks_of_a_cluster_are_processes_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\n", encoding="utf-8")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert make_fabric().world_size == 1  # beside SLURM, but not in a job
    for name, value in {"NTASKS": "4", "PROCID": "3", "LOCALID": "3", "NODEID": "1"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    fabric = make_fabric()
    assert (fabric.world_size, fabric.global_rank) == (1, 0)
