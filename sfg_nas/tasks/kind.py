"""What a kind of task must answer: head, loss, prediction, metrics, labels. One class per kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sfg_nas.tasks.encoding import Encoding, Pixels

Labels = NDArray[np.float64]
Cell = float | tuple[float, ...]


def number_in(cell: str) -> float | None:
    """Return the number in a cell, None for other text; `1_5`, which Python takes for 15, is none.

    Args:
        cell: Of a table.
    """
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


class TaskFields(Protocol):
    """The fields of a task that its kind may read; `Task` has them all."""

    @property
    def name(self) -> str:
        """Name the task."""

    @property
    def outputs(self) -> int:
        """Count the classes, labels, levels or channels."""

    @property
    def unit(self) -> str | None:
        """Give the unit of the target."""

    @property
    def center(self) -> float:
        """Give the value at which the output is 0."""

    @property
    def scale(self) -> float:
        """Give the step of the output in the target's unit."""

    @property
    def likelihood(self) -> str:
        """Name the likelihood."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Name the classes, labels or levels in order; empty where they are numbers."""

    @property
    def class_weights(self) -> tuple[float, ...] | str:
        """Weigh the classes in the loss."""


class WrongFieldError(ValueError):
    """A task's field breaks a rule of its kind. `Task` turns it into a message."""

    def __init__(self, field: str, rule: str, found: object) -> None:
        super().__init__(field, rule)
        self.field, self.rule, self.found = field, rule, found


class WrongLabelError(ValueError):
    """A label breaks a rule of its task's kind. `Task` turns it into a message."""

    def __init__(self, rule: str, found: object) -> None:
        super().__init__(rule)
        self.rule, self.found = rule, found


class TaskKind(ABC):
    """Everything that differs between kinds of tasks; stateless, what varies stands in the task.

    Shapes: outputs are `[N, outputs]`, or `[N, outputs, *spatial]` of a dense kind; targets
    `[N, *target_shape]`.

    Attributes:
        likelihoods: What the kind allows; the first is the default.
        metrics: The names that `evaluate` reports, the one the task is judged by first.
        higher_is_better: Whether a larger main metric is a better one.
        has_unit: Whether predictions are in the task's unit.
        dense: Whether targets lie on the image's pixels; a table's cells then name label images.
        directed: Whether a target's channels are the parts of a direction along the image's axes, the last axis first.
        many_columns: Whether a table may hold one yes-or-no column per label.
        pixel_keys: What may be said of label images, out of the fields of `Encoding`; dense kinds only.
        dtype: Of targets.
        missing: The value of an unknown target.
    """

    likelihoods: ClassVar[tuple[str, ...]]
    metrics: ClassVar[tuple[str, ...]]
    higher_is_better: ClassVar[bool]
    has_unit: ClassVar[bool] = False
    dense: ClassVar[bool] = False
    directed: ClassVar[bool] = False
    many_columns: ClassVar[bool] = False
    pixel_keys: ClassVar[tuple[str, ...]] = ()
    dtype: ClassVar[torch.dtype] = torch.int64
    missing: ClassVar[float] = -1

    @abstractmethod
    def check(self, task: TaskFields) -> None:
        """Refuse impossible fields.

        Raises:
            WrongFieldError: If there is one.
        """

    @abstractmethod
    def head(
        self, task: TaskFields, features: torch.Size, image: Sequence[int] | None
    ) -> nn.Module:
        """Return a new head for features `[C, *spatial]` of images `[C, *spatial]`.

        Raises:
            WrongFieldError: If no head fits.
        """

    @abstractmethod
    def loss(self, task: TaskFields, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean negative log-likelihood over what has a label; 0 with a graph if nothing."""

    @abstractmethod
    def decode(self, task: TaskFields, output: Tensor) -> Tensor:
        """Return predictions `[N, *target_shape]`."""

    @abstractmethod
    def scores(self, task: TaskFields, output: Tensor, target: Tensor) -> dict[str, float]:
        """Return the metrics; at least one example has a label."""

    def tally(self, task: TaskFields, output: Tensor, target: Tensor) -> Tensor:
        """Return sums over a batch, float64, from which `conclude` gets the metrics; dense kinds only.

        Those of several batches are added up, so that no data set's outputs lie in memory together.
        """
        raise NotImplementedError(task.name)

    def conclude(self, task: TaskFields, tally: Tensor) -> dict[str, float]:
        """Return the metrics from summed tallies; dense kinds only."""
        raise NotImplementedError(task.name)

    @abstractmethod
    def imitation(
        self, task: TaskFields, output: Tensor, wanted: Tensor, temperature: float
    ) -> Tensor:
        """Return how far outputs are from a teacher's, a scalar, over all examples."""

    @abstractmethod
    def mean(self, task: TaskFields, drawn: Tensor) -> Tensor:
        """Return the output `[N, ...]` of the mixture of K draws `[K, N, ...]`."""

    @abstractmethod
    def parse(self, task: TaskFields, cell: str) -> Cell:
        """Return the label that a table's cell holds, `nan` where it is missing.

        Raises:
            WrongLabelError: If it holds something else.
        """

    @abstractmethod
    def check_labels(self, task: TaskFields, labels: Labels) -> Labels:
        """Return labels `[N, *target_shape]` with missing ones as NaN.

        Raises:
            WrongLabelError: If one is impossible.
        """

    @abstractmethod
    def describe(self, task: TaskFields, output: Tensor) -> dict[str, list[object]]:
        """Return the columns that a table of predictions has, `""` naming the prediction itself."""

    def fields_of(self, cells: Sequence[str], classes: Sequence[str]) -> Mapping[str, object]:
        """Return the fields that a table's column decides, such as the classes that occur in it.

        Args:
            cells: All of them, missing ones empty.
            classes: What the user named; none for those that occur.

        Raises:
            WrongLabelError: If the column decides nothing that makes sense.
        """
        del cells
        if classes:
            raise WrongLabelError("only a kind with classes may name them", list(classes))
        return {}

    def parse_columns(self, task: TaskFields, cells: Sequence[str]) -> Cell:
        """Return the label that one row's yes-or-no columns hold; kinds with `many_columns` only.

        Raises:
            WrongLabelError: If a cell holds something else.
        """
        raise WrongLabelError(f"`column`, one for {task.name}, is needed", list(cells))

    def from_pixels(self, task: TaskFields, pixels: Pixels, encoding: Encoding) -> Labels:
        """Return the labels `[H, W]` or `[C, H, W]` that a label image `[H, W, C]` holds, NaN where missing; dense kinds only.

        Raises:
            WrongLabelError: If a pixel stands for nothing.
        """
        raise NotImplementedError(task.name)

    def to_pixels(self, task: TaskFields, labels: Pixels, encoding: Encoding) -> Pixels:
        """Return an image of predictions `[H, W]` or `[C, H, W]`; dense kinds only.

        Returns:
            Whole numbers `[H, W]` or `[H, W, 3]` for a PNG, or floating numbers for a NumPy file.
        """
        raise NotImplementedError(task.name)

    def strata(self, task: TaskFields, target: Tensor) -> Tensor:
        """Return the stratum of each example `[N]`, integers, for a split that keeps proportions."""
        del task
        return target if target.dim() == 1 else torch.zeros(len(target), dtype=torch.int64)

    def target_shape(self, task: TaskFields, image: Sequence[int] | None) -> tuple[int, ...]:
        """Return the shape of one example's target; `image` is `[C, *spatial]`."""
        del task, image
        return ()

    def labelled(self, task: TaskFields, target: Tensor) -> Tensor:
        """Return which examples have a label, `[N]`, of targets `[N, *target_shape]`."""
        del task
        known = ~torch.isnan(target) if self.dtype.is_floating_point else target >= 0
        return known.flatten(1).any(1) if known.dim() > 1 else known

    def scored(self, task: TaskFields, target: Tensor) -> Tensor:
        """Return which examples are enough, each by itself, for the main metric to be a number, `[N]`."""
        return self.labelled(task, target)

    def metric_unit(self, task: TaskFields) -> str | None:
        """Return the unit of the main metric, None for a fraction of one."""
        del task
        return None

    def quality(self, task: TaskFields, value: float) -> float:
        """Return the main metric as a number of which 1 is perfect and more is better."""
        del task
        return value

    def unmeasured(self, task: TaskFields) -> bool:
        """Return whether something of the task is still to be measured on training targets."""
        del task
        return False

    def measured(self, task: TaskFields, targets: Tensor) -> Mapping[str, object]:
        """Return the fields that change when training targets `[N, *target_shape]` are measured.

        Raises:
            WrongLabelError: If they do not allow it.
        """
        del task, targets
        return {}
