"""Supernets as methods of a comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sfg_nas.compare import compare
from sfg_nas.study import Study
from sfg_nas.weights import read_tensors

Make = Callable[..., Study]


@pytest.mark.parametrize("epochs", [2, 3])
def test_assignments_learn_where_a_comparison_is_no_longer_than_the_warm_up(
    make_study: Make, tmp_path: Path, epochs: int
) -> None:
    changes = {"training.epochs": 4, "sharing.warmup_epochs": 3}
    only = {"compare.epochs": epochs, "compare.equal_macs": False, "compare.draws": 3}
    found = compare(make_study(changes | only), ["sfg-corrected"], 1, runs=tmp_path)
    file = tmp_path / "tiny/compared/sfg-corrected/own/0/network.safetensors"
    tensors, _ = read_tensors(file)
    logits = next(value for name, value in tensors.items() if name.endswith("filter_logits"))
    assert len(torch.unique(logits, dim=0)) > 1  # all began alike
    said = f"its warm-up of 3 epochs is cut to {epochs - 1}, as it is trained for {epochs}"
    assert any(note.startswith(f"sfg-corrected: {said}") for note in found.notes)
    assert all(
        "Monte-Carlo prediction costs 3 networks or more" in n for n in found.notes if said in n
    )
