"""One small example of every kind of task, for the contract test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sfg_nas.tasks import Task

NAN = float("nan")
IMAGE = (3, 8, 12)
"""Shape of the images that dense targets lie on."""


@dataclass(frozen=True)
class Sample:
    """A task with targets of which some are missing.

    Attributes:
        task: Measured.
        target: [6, *target_shape], the first example unknown.
        cells: What a table says for the labels of each example, none if tables do not hold them.
    """

    task: Task
    target: Tensor
    cells: tuple[str, ...] = ()


def _map(value: Callable[[Tensor], Tensor], missing: float) -> Tensor:
    """Return targets [6, *spatial] with a missing example and a missing corner in another."""
    made = value(torch.arange(6 * 96, dtype=torch.float32).view(6, *IMAGE[1:]))
    made[0], made[3, :2, :2] = missing, missing
    return made


SAMPLES: dict[str, Sample] = {
    "classification": Sample(
        Task("shape", "classification", 3, classes=("disc", "bar", "7"), class_weights=(1, 2, 0.5)),
        torch.tensor([-1, 0, 2, 1, 0, 2]),
        ("", "disc", "7.0", " bar", "disc", "7"),
    ),
    "multi-label": Sample(
        Task("wears", "multi-label", 3, classes=("hat", "scarf", "ring")),
        torch.tensor([[-1, -1, -1], [0, 0, 0], [1, 0, 0], [1, 0, 1], [1, 1, 1], [0, 1, 0]]),
        ("", "none", "hat", "ring; hat", "hat|scarf|ring", "scarf"),
    ),
    "ordinal": Sample(
        Task("grade", "ordinal", 4, classes=("0", "I", "II", "III")),
        torch.tensor([-1, 0, 3, 1, 2, 3]),
        ("", "0.0", "III", "I", "II", "III"),
    ),
    "regression": Sample(
        Task("size", "regression", unit="mm", center=5.0, scale=2.0),
        torch.tensor([NAN, 1.0, 4.0, 9.0, 5.5, 4.0]),
        ("", "1", "4.0", "9", "5.5", "4e0"),
    ),
    "dense-regression": Sample(
        Task("heat", "dense-regression", unit="K", center=5.0, scale=1.0, likelihood="laplace"),
        _map(lambda place: 5 + 2 * torch.sin(place), NAN),
    ),
    "segmentation": Sample(
        Task("organ", "segmentation", 3, class_weights=(1, 2, 0.5)),
        _map(lambda place: (place % 7 % 3).long(), -1),
    ),
    "normals": Sample(
        Task("faces", "normals", 3),
        _map(lambda place: torch.sin(place).sign(), NAN)[:, None]
        * torch.tensor([0.6, 0.0, 0.8])[:, None, None],
    ),
}
