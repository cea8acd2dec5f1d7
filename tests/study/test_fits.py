"""Architectures of other images, tasks or classes are refused before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sfg_nas.architecture import Architecture
from sfg_nas.data import DataBundle, bundle_from_arrays
from sfg_nas.errors import ConfigError
from sfg_nas.fixed import distill
from sfg_nas.study import Study, retrain
from sfg_nas.study.fits import check_fits
from sfg_nas.tasks import Task

Make = Callable[..., Study]


@pytest.fixture
def architecture(make_study: Make) -> Architecture:
    study = make_study()
    return distill(study.make_supernet(study.config, seed=0))


def data(channels: int = 1, classes: int = 2, name: str = "bright", size: int = 6) -> DataBundle:
    images = np.random.default_rng(0).integers(0, 256, (40, channels, size, size), dtype=np.uint8)
    targets = {name: np.arange(40) % classes, "level": np.arange(40.0)}
    tasks = [Task(name, "classification", outputs=classes), Task("level", "regression")]
    return bundle_from_arrays(images, targets, tasks)


@pytest.mark.parametrize(
    ("bundle", "words"),
    [
        (data(channels=3), "found images of 1x6x6 there, of 3x6x6 in the study; give"),
        (data(name="dark"), "found tasks bright, level there, without dark; give"),
        (data(classes=3), "found 2 outputs of bright there, 3 in the study; give"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_trained(
    make_study: Make, tmp_path: Path, architecture: Architecture, bundle: DataBundle, words: str
) -> None:
    study = make_study(data=bundle)
    with pytest.raises(ConfigError, match=words):
        retrain(study, architecture, 1, runs=tmp_path)
    assert not (tmp_path / "tiny" / "retrained").exists()
    with pytest.raises(ConfigError, match=r"^net: it must be one for the images and tasks of tiny"):
        check_fits(architecture, study, where="net")


def test_the_study_s_own_and_one_of_fewer_tasks_or_other_sizes_fit(
    make_study: Make, architecture: Architecture
) -> None:
    study = make_study()
    check_fits(architecture, study)
    check_fits(architecture, make_study({"tasks": {"level": {}}}))
    check_fits(architecture, make_study(data=data(size=10)))
    assert replace(study, data=data(size=10)).data.image_shape == (1, 10, 10)
