"""A study so small that a trial takes a fraction of a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from torch import nn

from sfg_nas.config import BackboneConfig
from sfg_nas.data import DataBundle, Splits, bundle_from_arrays
from sfg_nas.study import Study, load_study
from sfg_nas.tasks import Task

CONTENT: dict[str, Any] = {
    "name": "tiny",
    "data": {"kind": "tiny"},
    "backbone": {"kind": "two-layers", "width": 1.0},
    "sharing": {
        # Near shared, so that no task of so small a network loses its path from the image.
        "start": {"kind": "near-shared", "confidence": 0.6},
        "temperature": {"shape": "exponential", "start": 1.0, "end": 0.5},
    },
    "training": {"epochs": 2, "batch_size": 16, "learning_rate": 0.01},
    "search": {
        "trials": 3,
        "sampler": {"kind": "tpe", "startup": 1},
        "space": {
            "sharing.temperature.start": {"type": "float", "low": 0.5, "high": 4.0, "log": True},
            "sharing.lambda3": {"type": "float", "low": 0.0, "high": 1.0},
            "training.learning_rate": {"type": "float", "low": 1e-3, "high": 1e30, "log": True},
        },
    },
    "retrain": {"epochs": 1, "seeds": 2},
}


def two_layers(config: BackboneConfig, image_shape: Sequence[int]) -> nn.Module:
    width = max(round(6 * config.width), 1)
    return nn.Sequential(
        nn.Conv2d(image_shape[0], width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
    )


def make_data(seed: int = 0) -> DataBundle:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (112, 1, 6, 6), dtype=np.uint8)
    images[::2] //= 2
    mean = images.mean((1, 2, 3))
    targets = {"bright": (mean > 90).astype(np.int64), "level": mean.astype(np.float32)}
    tasks = [Task("bright", "classification", outputs=2), Task("level", "regression")]
    rows = np.arange(112)
    splits = Splits(train=rows[:64], validation=rows[64:88], test=rows[88:])
    return bundle_from_arrays(images, targets, tasks, splits=splits, name="tiny")


@pytest.fixture(scope="session")
def tiny_data() -> DataBundle:
    return make_data()


MakeStudy = Callable[..., Study]


@pytest.fixture
def make_study(tiny_data: DataBundle) -> MakeStudy:
    """Return a maker of studies: dotted overrides, and perhaps other data."""

    def make(overrides: dict[str, Any] | None = None, data: DataBundle | None = None) -> Study:
        changes = {"training.learning_rate": 0.01, **(overrides or {})}
        content = deepcopy(CONTENT)
        rate = content["search"]["space"].pop("training.learning_rate")
        if changes.pop("any_rate", False):
            content["search"]["space"]["training.learning_rate"] = rate
        return load_study(content, changes, backbone=two_layers, data=data or tiny_data)

    return make
