from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sfg_nas.data import DataBundle, ImageSet, Splits, bundle_from_arrays
from sfg_nas.errors import TrainingError
from sfg_nas.tasks import Task
from sfg_nas.training import defined_scores, evaluate, predict, recalibrate_norms
from sfg_nas.training.evaluation import at_once

TASKS = (Task("c", "classification", outputs=3), Task("r", "regression", center=0.5, scale=2.0))


class Fixed(nn.Module):
    """Answers by the value of the first pixel: a class, and a number."""

    def __init__(self, answer: float = 0.0) -> None:
        super().__init__()
        self.answer = answer
        self.norm = nn.BatchNorm1d(1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        classes = images.new_zeros(len(images), 3)
        classes[:, 1] = 1
        return {"c": classes, "r": images.new_full((len(images), 1), self.answer)}


@pytest.fixture
def data() -> DataBundle:
    images = np.random.default_rng(0).integers(0, 255, (10, 1, 2, 2), dtype=np.uint8)
    rows = np.arange(10)
    targets = {"c": np.array([0, 1, 1, 1, 2, -1, 1, 1, 1, 1]), "r": np.arange(10.0)}
    splits = Splits(train=rows[5:7], validation=rows[:5], test=rows[7:])
    return bundle_from_arrays(images, targets, TASKS, splits=splits)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_metrics_are_over_all_images_whatever_the_batch(data: DataBundle, batch_size: int) -> None:
    network = Fixed().train()
    values = evaluate(network, data.validation, TASKS, batch_size=batch_size)
    assert values["c/accuracy"] == pytest.approx(3 / 5)
    assert values["r/mae"] == pytest.approx(np.abs(np.arange(5) - 0.5).mean())
    assert network.training
    assert network.norm.training


def test_outputs_that_are_not_finite_are_named(data: DataBundle) -> None:
    with pytest.raises(TrainingError, match="task r"):
        evaluate(Fixed(torch.nan), data.validation, TASKS)


def test_metrics_of_outputs_that_are_too_large_are_named(data: DataBundle) -> None:
    with pytest.raises(
        TrainingError, match=r"task r: every metric.*rmse = inf; lower the learning"
    ):
        evaluate(Fixed(1e30), data.validation, TASKS)  # a square is beyond single precision


def test_what_is_not_defined_is_left_out_of_files() -> None:
    depth = Task("d", "dense-regression", classes=("near", "far"))
    images = np.zeros((6, 1, 2, 2), dtype=np.uint8)
    labels = np.stack([np.arange(24.0).reshape(6, 2, 2), np.zeros((6, 2, 2))], axis=1)
    splits = Splits(*(np.arange(6).reshape(3, 2)))
    data = bundle_from_arrays(images, {"d": labels}, [depth], splits=splits)

    class Flat(nn.Module):
        def forward(self, images: Tensor) -> dict[str, Tensor]:
            return {"d": torch.zeros_like(images)}

    values = evaluate(Flat(), data.validation, data.tasks)
    assert np.isnan(values.pop("d/mae/far"))  # no pixel is far
    assert defined_scores(Flat(), data.validation, data.tasks) == values


def test_predictions_keep_the_order(data: DataBundle) -> None:
    _, targets = predict(Fixed(), data.validation, TASKS, batch_size=2)
    assert targets["r"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 48, 48), 256),
        ((1, 181, 181), 256),
        ((1, 512, 512), 32),
        ((2, 96, 96, 64), 14),
        ((1, 4096, 4096), 2),
        ((5, 8), 256),
    ],
)
def test_fewer_images_at_once_where_they_are_large(shape: tuple[int, ...], expected: int) -> None:
    nothing = np.zeros((0, *shape), dtype=np.uint8)
    images = ImageSet(nothing, np.zeros(0, dtype=np.int64), {}, (0.0,), (1.0,))
    assert at_once(images) == expected


def test_large_images_are_scored_and_measured_a_few_at_once() -> None:
    images = np.zeros((40, 1, 1024, 512), dtype=np.uint8)
    task = Task("r", "regression")
    data = bundle_from_arrays(images, {"r": np.arange(40.0)}, [task])
    sizes: list[int] = []

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(1)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            sizes.append(len(x))
            return {"r": self.norm(x[:, :, :4, :4]).mean((1, 2, 3))[:, None]}

    evaluate(Net(), data.train, [task])
    predict(Net(), data.train, [task])
    assert recalibrate_norms(Net(), data.train) == 1
    assert max(sizes) == 16
    assert sizes.count(16) >= 3
