"""A data set as a whole: its tasks, and how its images are normalised."""

from __future__ import annotations

import pytest
import torch

from sfg_nas.data.bundle import DataBundle
from sfg_nas.data.images import ImageSet
from sfg_nas.errors import ConfigError
from sfg_nas.tasks import Task


@pytest.fixture
def bundle(images: ImageSet) -> DataBundle:
    tasks = (Task("row", "classification", 30), Task("half", "regression"))
    return DataBundle(
        "made", tasks, images, images.subset(0.5), images.subset(0.2), "f", (2, 16, 16)
    )


def test_choosing_weighting_and_ordering_tasks(bundle: DataBundle) -> None:
    chosen = bundle.with_tasks({"half": 0.5, "row": 2.0})
    assert [(task.name, task.weight) for task in chosen.tasks] == [("half", 0.5), ("row", 2.0)]
    assert list(chosen.validation.targets) == ["half", "row"]
    one = bundle.with_tasks({"half": 1.0})
    assert [list(part.targets) for part in (one.train, one.validation, one.test)] == [["half"]] * 3
    assert len(one.test) == len(bundle.test)
    with pytest.raises(ConfigError, match="did you mean 'half'"):
        bundle.with_tasks({"halff": 1.0})
    with pytest.raises(ConfigError, match="tasks"):
        bundle.with_tasks({})


def test_a_likelihood_of_the_study_takes_the_place_of_the_data_sets(bundle: DataBundle) -> None:
    weights = {"row": 1.0, "half": 1.0}
    chosen = bundle.with_tasks(weights, {"half": "laplace"})
    assert [task.likelihood for task in chosen.tasks] == ["categorical", "laplace"]
    with pytest.raises(ConfigError, match="a classification allows categorical"):
        bundle.with_tasks(weights, {"row": "laplace"})


def test_whitened_images_have_mean_0_and_deviation_1_each(bundle: DataBundle) -> None:
    data = bundle.whitened()
    for part in (data.train, data.validation, data.test):
        assert isinstance(part, ImageSet)
        (pixels, targets), *_ = part.batches(len(part))
        assert pixels.mean((1, 2, 3)).abs().max() < 1e-5
        torch.testing.assert_close(pixels.std((1, 2, 3), correction=0), torch.ones(len(part)))
        raw = torch.from_numpy(part.images[targets["row"].numpy()]).double()
        wanted = (raw[0] - raw[0].mean()) / raw[0].std(correction=0)
        torch.testing.assert_close(pixels[0].double(), wanted, atol=1e-5, rtol=0)
    assert data.fingerprint != bundle.fingerprint
    assert not bundle.train.whitened  # type: ignore[attr-defined]
