from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from sfg_nas.errors import ArchitectureError, TrainingError
from sfg_nas.training import load_module, load_tensors, save_module, save_tensors


def test_tensors_and_values_come_back(tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    tensors = {"a": base, "view": base[0], "turned": base.T, "count": torch.tensor(3)}
    values = {"rows": [{"loss": 0.1 + 0.2}], "best": None, "none": float("inf")}
    save_tensors(tmp_path / "x.safetensors", tensors, values)
    found = load_tensors(tmp_path / "x.safetensors")
    assert found.values == values
    assert all(torch.equal(found.tensors[name], value) for name, value in tensors.items())
    assert list(tmp_path.iterdir()) == [tmp_path / "x.safetensors"]


@pytest.mark.parametrize("content", [b"", b"no tensors here", b"\x80\x04pickle"])
def test_another_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"x\.safetensors"):
        load_tensors(path)


def test_a_module_comes_back_only_into_its_like(tmp_path: Path) -> None:
    one, other = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    one(torch.randn(8, 3))
    save_module(tmp_path / "m", one)
    load_module(tmp_path / "m", other)
    assert torch.equal(one.running_mean, other.running_mean)
    with pytest.raises(ArchitectureError, match="must be those of this network"):
        load_module(tmp_path / "m", nn.BatchNorm1d(4))
