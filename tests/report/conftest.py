"""Three small runs on the built-in digits, searched once per session: two tasks, three, and a lattice."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from sfg_nas.study import Run, Study, load_study, retrain, search

CONTENT: dict[str, Any] = {
    "name": "two",
    "data": {"kind": "digits", "size": 16, "train": 64, "validation": 32, "test": 32},
    "tasks": {"left": {}, "right": {}},
    "backbone": {"kind": "vgg11", "width": 0.125, "depth": 3},
    "sharing": {"start": {"kind": "branched", "split": 1, "confidence": 0.6}},
    "training": {"epochs": 2, "batch_size": 32, "allocation_learning_rate": 0.2},
    "search": {
        "trials": 8,
        "sampler": {"kind": "random"},
        "space": {
            "sharing.lambda2": {"type": "float", "low": -1.0, "high": 1.0},
            "training.learning_rate": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True},
        },
    },
    "retrain": {"epochs": 1, "seeds": 2},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "two": {},
    "three": {"tasks": {"left": {}, "right": {}, "sum": {}}},
    "lattice": {
        "tasks": {"left": {}, "right": {}, "sum": {}},
        "sharing": {"groups": "lattice", "start": {"kind": "thirds"}},
    },
}


@dataclass(frozen=True)
class Small:
    """A small run and the study it is of."""

    run: Run
    study: Study


def content(name: str) -> dict[str, Any]:
    return {**deepcopy(CONTENT), **deepcopy(VARIANTS[name]), "name": name}


@pytest.fixture(scope="session")
def small_runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Small]:
    """Return the small runs by name; that of two tasks is retrained, too."""
    folder: Path = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    found = {}
    for name in VARIANTS:
        study = load_study(content(name))
        run = search(study, runs=folder)
        if name == "two":
            retrain(study, run.best, runs=folder)
        found[name] = Small(run, study)
    return found
