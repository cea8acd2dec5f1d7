"""The data of a study: its tasks, and labels of each in every part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sfg_nas.data import DataBundle
from sfg_nas.data.images import ImageSet
from sfg_nas.errors import ConfigError, DataError
from sfg_nas.study import Study, search

Make = Callable[..., Study]


def without_labels(data: DataBundle, part: str, task: str) -> DataBundle:
    """Return the data set with all labels of a task missing in a part."""
    images = getattr(data, part)
    assert isinstance(images, ImageSet)
    missing = torch.full_like(images.targets[task], -1)
    images = replace(images, targets={**images.targets, task: missing})
    return replace(data, **{part: images})  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_part_without_labels_of_a_task_is_refused(
    make_study: Make, tiny_data: DataBundle, tmp_path: Path, part: str
) -> None:
    data = without_labels(tiny_data, part, "bright")
    with pytest.raises(DataError, match=f"tiny: {part} part: bright: at least one image with"):
        make_study(data=data)
    with pytest.raises(DataError, match=f"{part} part: bright"):
        search(make_study(), data=data, runs=tmp_path)
    assert not list(tmp_path.iterdir())
    study = make_study({"tasks": {"level": {}}}, data=data)  # a task that is left out needs none
    assert [task.name for task in study.tasks] == ["level"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [("colour", "images of at least 3 channels"), ("affine", "one of blur, brightness")],
)
def test_augmentations_that_do_not_fit_the_images_are_refused_with_the_study(
    make_study: Make, name: str, rule: str
) -> None:
    with pytest.raises(ConfigError, match=rf"data\.augment: .*{rule}.*'{name}'"):
        make_study({"data.augment": ["flip", name]})
