"""A task: its head, its likelihood, its metrics and which direction is better."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NoReturn, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_recall
from torchmetrics.functional.regression import mean_absolute_error, mean_squared_error

from sfg_nas.errors import ConfigError, DataError, TrainingError, explain

Kind = Literal["classification", "regression"]
Likelihood = Literal["auto", "categorical", "gaussian", "laplace"]

MISSING_CLASS = -1
"""The label of an example whose class is not known; a missing number is NaN."""

_LIKELIHOODS: dict[str, tuple[Likelihood, ...]] = {
    "classification": ("categorical",),
    "regression": ("gaussian", "laplace"),
}
_POOLS: dict[int, type[nn.Module]] = {
    2: nn.AdaptiveAvgPool1d,
    3: nn.AdaptiveAvgPool2d,
    4: nn.AdaptiveAvgPool3d,
}


@dataclass(frozen=True)
class Task:
    """One quantity to predict from an image.

    A missing label (NaN for a number, a negative class for a class) is left out of the loss and of
    the metrics.

    Attributes:
        name: The name that targets, outputs and metrics are filed under.
        kind: `classification` or `regression`.
        outputs: The number of classes, or 1 for a regression.
        unit: The unit of a regression's target, for example `years`.
        weight: The weight of the task's loss in the objective.
        center: The value at which a regression's output is 0, in `unit`.
        scale: The step of a regression's output in `unit`: the network predicts
            `(target - center) / scale`.
        likelihood: `categorical` for a classification; `gaussian` or `laplace` (of scale 1 in the
            network's units) for a regression; `auto` takes the first.

    Raises:
        ConfigError: If a field is impossible.
    """

    name: str
    kind: Kind
    outputs: int = 1
    unit: str | None = None
    weight: float = 1.0
    center: float = 0.0
    scale: float = 1.0
    likelihood: Likelihood = "auto"

    def __post_init__(self) -> None:
        if self.kind not in _LIKELIHOODS:
            self._refuse("kind", f"one of {', '.join(_LIKELIHOODS)} is needed", self.kind)
        allowed = _LIKELIHOODS[self.kind]
        if self.likelihood == "auto":
            object.__setattr__(self, "likelihood", allowed[0])
        elif self.likelihood not in allowed:
            self._refuse(
                "likelihood", f"a {self.kind} allows {' or '.join(allowed)}", self.likelihood
            )
        if not self.name or "/" in self.name or "+" in self.name:
            self._refuse("name", "a name without `/` and `+` is needed", self.name)
        if self.kind == "classification" and self.outputs < 2:
            self._refuse("outputs", "a classification needs at least 2 classes", self.outputs)
        if self.kind == "regression" and self.outputs != 1:
            self._refuse("outputs", "a regression has 1 output", self.outputs)
        if not (math.isfinite(self.weight) and self.weight >= 0):
            self._refuse("weight", "a finite number of at least 0 is needed", self.weight)
        if not (math.isfinite(self.scale) and self.scale > 0 and math.isfinite(self.center)):
            self._refuse(
                "scale", "a finite center and a scale above 0 are needed", (self.center, self.scale)
            )

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
    def metric(self) -> str:
        """Name the metric that the task is judged by: `accuracy` or `mae`."""
        return "accuracy" if self.kind == "classification" else "mae"

    @property
    def key(self) -> str:
        """Name the main metric as evaluations file it, for example `age/mae`."""
        return f"{self.name}/{self.metric}"

    @property
    def higher_is_better(self) -> bool:
        """Tell whether a larger value of the main metric is a better one."""
        return self.kind == "classification"

    @property
    def metric_unit(self) -> str | None:
        """Give the unit of the main metric, or None for a fraction of one."""
        return None if self.kind == "classification" else self.unit

    def make_head(self, features: torch.Size) -> nn.Module:
        """Return a new head for features of one example: global average pool, one linear layer.

        Args:
            features: Shape without the batch, `[C]` or `[C, *spatial]` with up to three dimensions.

        Raises:
            ConfigError: If the shape has none or more than three spatial dimensions.
        """
        if not 1 <= len(features) <= 4:
            self._refuse("head", "features of shape [C] or [C, *spatial] are needed", features)
        linear = nn.Linear(features[0], self.outputs)
        if len(features) == 1:
            return linear
        return nn.Sequential(_POOLS[len(features)](1), nn.Flatten(), linear)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean negative log-likelihood over the examples that have a label.

        Terms that no parameter can change are left out, so a perfect regression scores 0: for a
        Gaussian of standard deviation 1 that is half the squared error, for a Laplace distribution
        of scale 1 the absolute error, both in the network's units (Bragman et al. 2019, eq. 6, with
        N/M taken out).

        Args:
            output: The head's output, `[N, outputs]`.
            target: Labels, `[N]`: integers (-1 = missing) or numbers in `unit` (NaN = missing).

        Returns:
            A scalar; 0, still with a graph, if no example has a label.
        """
        if self.kind == "classification":
            labels = target.long().clamp(min=MISSING_CLASS)
            total = functional.cross_entropy(
                output, labels, ignore_index=MISSING_CLASS, reduction="sum"
            )
            return total / (labels != MISSING_CLASS).sum().clamp(min=1)
        number = output.squeeze(-1)
        labelled = ~torch.isnan(target)
        # The target is replaced before the subtraction: NaN times a mask of zeros is still NaN.
        wanted = (target - self.center) / self.scale
        difference = number - torch.where(labelled, wanted, 0.0).to(number.dtype)
        terms = difference.abs() if self.likelihood == "laplace" else 0.5 * difference.square()
        return torch.where(labelled, terms, 0.0).sum() / labelled.sum().clamp(min=1)

    def decode(self, output: Tensor) -> Tensor:
        """Return predictions `[N]` from outputs `[N, outputs]`: classes, or numbers in `unit`."""
        if self.kind == "classification":
            return output.argmax(dim=-1)
        return output.squeeze(-1) * self.scale + self.center

    def evaluate(self, output: Tensor, target: Tensor) -> dict[str, float]:
        """Return the metrics over all labelled examples at once.

        Args:
            output: The head's output, `[N, outputs]`.
            target: Labels, `[N]`, as in `loss`.

        Returns:
            `accuracy` and `balanced_accuracy` (mean recall of the classes that occur), as fractions,
            or `mae` and `rmse`, in `unit`. NaN if no example has a label.
        """
        if self.kind == "classification":
            labelled = target >= 0
            predicted, wanted = output.argmax(dim=-1)[labelled], target[labelled].long()
            names = ("accuracy", "balanced_accuracy")
        else:
            labelled = ~torch.isnan(target)
            predicted, wanted = self.decode(output)[labelled].float(), target[labelled].float()
            names = ("mae", "rmse")
        if not bool(labelled.any()):
            return dict.fromkeys(names, math.nan)
        if self.kind == "classification":
            classes = self.outputs
            recalls = multiclass_recall(predicted, wanted, classes, average="none")
            # torchmetrics' own mean would count a class that never occurs but is predicted.
            occurs = torch.bincount(wanted, minlength=classes) > 0
            values = (
                multiclass_accuracy(predicted, wanted, classes, average="micro"),
                recalls[occurs].mean(),
            )
        else:
            values = (
                mean_absolute_error(predicted, wanted),
                mean_squared_error(predicted, wanted, squared=False),
            )
        return {name: float(value) for name, value in zip(names, values, strict=True)}

    def measured(self, targets: Tensor) -> Self:
        """Return the task with center and scale measured on training targets, in `unit`.

        Args:
            targets: Training labels `[N]`, NaN where missing. A classification is left as it is.

        Raises:
            DataError: If no label is finite.
        """
        if self.kind == "classification":
            return self
        known = targets[torch.isfinite(targets)].double()
        if known.numel() == 0:
            raise DataError(
                explain(
                    where=f"task {self.name!r}",
                    rule="the training part needs at least one label",
                    found="none",
                    do="check the targets or leave the task out",
                )
            )
        spread = float(known.std(correction=0))
        return replace(self, center=float(known.mean()), scale=spread if spread > 0 else 1.0)


def relative_gain(
    values: Mapping[str, float], references: Mapping[str, float], tasks: Sequence[Task]
) -> float:
    """Return Δ, the mean relative gain over the references, signed so that more is better.

    Source: Maninis et al. 2019, "Attentive single-tasking of multiple tasks", section 4, where it is
    a drop against single-task networks.

    Args:
        values: The main metric of each task, by `task.key` (`age/mae`) or by the task's name.
        references: The same metrics of the reference networks.
        tasks: The tasks to average over, each counted once whatever its weight.

    Raises:
        ConfigError: If there is no task.
        TrainingError: If a metric is missing or a reference is 0.
    """
    if not tasks:
        raise ConfigError(
            explain(
                where="relative_gain",
                rule="a gain needs at least one task",
                found="none",
                do="pass the tasks of the data set",
            )
        )
    gains = []
    for task in tasks:
        value, reference = _metric(values, task), _metric(references, task)
        if reference == 0:
            raise TrainingError(
                explain(
                    where=f"relative_gain: {task.key}",
                    rule="a reference other than 0 is needed",
                    found="0",
                    do="train the reference network longer",
                )
            )
        sign = 1.0 if task.higher_is_better else -1.0
        gains.append(sign * (value - reference) / reference)
    return math.fsum(gains) / len(gains)


def _metric(values: Mapping[str, float], task: Task) -> float:
    for key in (task.key, task.name):
        if key in values:
            return values[key]
    raise TrainingError(
        explain(
            where=f"relative_gain: {task.name}",
            rule=f"a value for {task.key!r} is needed",
            found=", ".join(sorted(values)) or "nothing",
            do="evaluate the network on this task",
        )
    )
