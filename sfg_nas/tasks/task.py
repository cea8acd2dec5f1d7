"""A task: what to predict from an image, and everything that follows from its kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sfg_nas.errors import ConfigError, DataError, explain
from sfg_nas.tasks.kind import Cell, TaskKind, WrongFieldError, WrongLabelError
from sfg_nas.tasks.registry import TASK_KINDS

_ROWS = 4096  # at a time, so that maps are not in memory many times over


@dataclass(frozen=True)
class Task:
    """One quantity to predict from an image.

    A missing label (NaN for a number, a negative class) is left out of the loss and of the metrics.

    Attributes:
        name: The name that targets, outputs and metrics are filed under.
        kind: A name out of `TASK_KINDS`.
        outputs: The number of classes, labels, levels or channels; 1 for a regression.
        unit: The unit of a regression's target, for example `years`.
        weight: The weight of the task's loss in the objective.
        center: The value at which a regression's output is 0, in `unit`.
        scale: The step of a regression's output in `unit`: the network predicts
            `(target - center) / scale`.
        likelihood: Out of the kind's `likelihoods` (`gaussian` and `laplace` are of scale 1 in the
            network's units); `auto` takes the first.
        classes: The names of the classes (of a dense regression: regions), in order; none for numbers.
        class_weights: Of each class in a classification's loss, none for 1 each; or `balanced`, to be measured.

    Raises:
        ConfigError: If a field is impossible.
    """

    name: str
    kind: str
    outputs: int = 1
    unit: str | None = None
    weight: float = 1.0
    center: float = 0.0
    scale: float = 1.0
    likelihood: str = "auto"
    classes: tuple[str, ...] = ()
    class_weights: tuple[float, ...] | str = ()

    def __post_init__(self) -> None:
        if self.kind not in TASK_KINDS:
            self._refuse("kind", f"one of {', '.join(TASK_KINDS)} is needed", self.kind)
        for field in ("classes", "class_weights"):
            if isinstance(getattr(self, field), list):  # as JSON gives it
                object.__setattr__(self, field, tuple(getattr(self, field)))
        allowed = self.rules.likelihoods
        if self.likelihood == "auto":
            object.__setattr__(self, "likelihood", allowed[0])
        elif self.likelihood not in allowed:
            rule = f"a {self.kind} allows {' or '.join(allowed)}"
            self._refuse("likelihood", rule, self.likelihood)
        named = isinstance(self.name, str) and self.name and not {"/", "+"} & set(self.name)
        for field, sound, rule in (
            ("name", named, "a name without `/` and `+` is needed"),
            ("unit", isinstance(self.unit, str | None), "text, such as mm, is needed"),
            ("weight", 0 <= self.weight < math.inf, "a finite number of at least 0 is needed"),
        ):
            if not sound:
                self._refuse(field, rule, getattr(self, field))
        if not (math.isfinite(self.scale) and self.scale > 0 and math.isfinite(self.center)):
            self._refuse(
                "scale", "a finite center and a scale above 0 are needed", (self.center, self.scale)
            )
        try:
            self.rules.check(self)
        except WrongFieldError as error:
            self._refuse(error.field, error.rule, error.found)

    def _refuse(self, field: str, rule: str, found: object) -> NoReturn:
        raise ConfigError(
            explain(
                where=f"task {self.name!r}: {field}",
                rule=rule,
                found=repr(found),
                do=f"give the task another {field}",
            )
        )

    @property
    def rules(self) -> TaskKind:
        """Give the kind's own rules, out of `TASK_KINDS`."""
        return TASK_KINDS[self.kind]

    @property
    def metric(self) -> str:
        """Name the metric that the task is judged by, such as `accuracy` or `mae`."""
        return self.rules.metrics[0]

    @property
    def key(self) -> str:
        """Name the main metric as evaluations file it, for example `age/mae`."""
        return f"{self.name}/{self.metric}"

    @property
    def higher_is_better(self) -> bool:
        """Tell whether a larger value of the main metric is a better one."""
        return self.rules.higher_is_better

    @property
    def metric_unit(self) -> str | None:
        """Give the unit of the main metric, or None for a fraction of one."""
        return self.rules.metric_unit(self)

    @property
    def has_unit(self) -> bool:
        """Tell whether predictions are in `unit`."""
        return self.rules.has_unit

    @property
    def dense(self) -> bool:
        """Tell whether targets lie on the image's pixels."""
        return self.rules.dense

    def make_head(self, features: torch.Size, image: Sequence[int] | None = None) -> nn.Module:
        """Return a new head: for one prediction per image, global average pool and one linear layer.

        Args:
            features: Shape without the batch, `[C]` or `[C, *spatial]` with up to three dimensions.
            image: Shape of the images without the batch, `[C, *spatial]`; dense kinds need it.

        Raises:
            ConfigError: If no head fits the features.
        """
        try:
            return self.rules.head(self, features, image)
        except WrongFieldError as error:
            self._refuse(error.field, error.rule, error.found)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean negative log-likelihood over what has a label.

        Terms that no parameter can change are left out, so a perfect prediction scores 0 (Bragman et
        al. 2019, eq. 6, with N/M taken out).

        Args:
            output: The head's output, `[N, outputs]` or `[N, outputs, *spatial]`.
            target: Labels, `[N, *target_shape]`: integers (-1 = missing) or numbers in `unit` (NaN =
                missing).

        Returns:
            A scalar; 0, still with a graph, if no example has a label.

        Raises:
            ConfigError: If balanced class weights were never measured.
        """
        try:
            return self.rules.loss(self, output, target)
        except WrongFieldError as error:
            self._refuse(error.field, error.rule, error.found)

    def decode(self, output: Tensor) -> Tensor:
        """Return predictions `[N, *target_shape]`: classes, or numbers in `unit`."""
        return self.rules.decode(self, output)

    def evaluate(self, output: Tensor, target: Tensor) -> dict[str, float]:
        """Return the metrics over all labelled examples at once.

        Args:
            output: The head's output, `[N, outputs]` or `[N, outputs, *spatial]`.
            target: Labels, `[N, *target_shape]`, as in `loss`.

        Returns:
            The kind's `metrics`, fractions of one or numbers in `unit`. NaN if nothing has a label.
        """
        if not bool(self.labelled(target).any()):
            return dict.fromkeys(self.rules.metrics, math.nan)
        return self.rules.scores(self, output, target)

    def tally(self, output: Tensor, target: Tensor) -> Tensor:
        """Return sums over a batch of a dense task that `conclude` takes; add those of all batches.

        Args:
            output: The head's output, `[N, outputs, *spatial]`.
            target: Labels, `[N, *target_shape]`.
        """
        return self.rules.tally(self, output, target)

    def conclude(self, tally: Tensor) -> dict[str, float]:
        """Return a dense task's metrics from its tallies, as `evaluate` gives them for everything at once."""
        return self.rules.conclude(self, tally)

    def imitation(self, output: Tensor, wanted: Tensor, temperature: float) -> Tensor:
        """Return how far an output is from a teacher's, a scalar, over all examples.

        Args:
            output: Of the trained network, as in `loss`.
            wanted: Of the teacher, likewise.
            temperature: What logits are divided by, above 0.
        """
        return self.rules.imitation(self, output, wanted.to(output.dtype), temperature)

    def mean_prediction(self, drawn: Tensor) -> Tensor:
        """Return the output `[N, ...]` of the mixture of K draws `[K, N, ...]`."""
        return self.rules.mean(self, drawn)

    def quality(self, value: float) -> float:
        """Return the main metric as a number of which 1 is perfect and more is better."""
        return self.rules.quality(self, value)

    def describe(self, output: Tensor) -> dict[str, list[object]]:
        """Return what a table of predictions says: columns by name, each with N values."""
        columns = self.rules.describe(self, output)
        return {f"{self.name}/{key}" if key else self.name: own for key, own in columns.items()}

    def measured(self, targets: Tensor) -> Self:
        """Return the task with what depends on the training targets: center, scale, class weights.

        Args:
            targets: Training labels `[N, *target_shape]`.

        Raises:
            DataError: If no label is known and one is needed.
        """
        try:
            changes = self.rules.measured(self, targets)
        except WrongLabelError as error:
            self._refuse_label(f"task {self.name!r}", error, "check the targets, or leave it out")
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def unmeasured(self) -> bool:
        """Tell whether something is still to be measured on training targets."""
        return self.rules.unmeasured(self)

    def target_shape(self, image: Sequence[int] | None = None) -> tuple[int, ...]:
        """Return the shape of one example's target for images `[C, *spatial]`."""
        return self.rules.target_shape(self, image)

    def labelled(self, target: Tensor) -> Tensor:
        """Return which examples have any label, `[N]`."""
        return self.rules.labelled(self, target)

    def strata(self, target: Tensor) -> Tensor:
        """Return the stratum of each example `[N]`, for a split that keeps proportions."""
        none = torch.zeros(len(target), dtype=torch.int64)
        return none if self.dense else self.rules.strata(self, target)

    def missing_targets(self, count: int, image: Sequence[int] | None = None) -> Tensor:
        """Return targets `[count, *target_shape]` of which none is known."""
        shape = (count, *self.target_shape(image))
        return torch.full(shape, self.rules.missing, dtype=self.rules.dtype)

    def label(self, cell: str, where: str) -> Cell:
        """Return the label that a table's cell holds, NaN where it is missing.

        Args:
            cell: As it stands in the table.
            where: The file and line, for the message.

        Raises:
            DataError: If it is no label of this task.
        """
        try:
            return self.rules.parse(self, cell)
        except WrongLabelError as error:
            self._refuse_label(f"{where}: {self.name}", error, "correct the cell")

    def targets(self, labels: NDArray[np.generic], where: str) -> Tensor:
        """Return labels as the targets of a data set, in the kind's type.

        Args:
            labels: `[N, *target_shape]`, missing ones NaN (or -1 for classes).
            where: What they belong to, for the message.

        Raises:
            DataError: If one is impossible.
        """
        rules = self.rules
        targets = torch.empty(labels.shape, dtype=rules.dtype)
        for rows in range(0, max(1, len(labels)), _ROWS):
            chunk = labels[rows : rows + _ROWS]
            try:
                known = rules.check_labels(self, chunk.astype(np.float64))
            except WrongLabelError as error:
                self._refuse_label(where, error, "check what you pass in")
            if not rules.dtype.is_floating_point:
                known = np.where(np.isnan(known), rules.missing, known)
            targets[rows : rows + _ROWS] = torch.from_numpy(known)
        return targets

    def _refuse_label(self, where: str, error: WrongLabelError, do: str) -> NoReturn:
        text = explain(where=where, rule=error.rule, found=str(error.found), do=do)
        raise DataError(text) from error
