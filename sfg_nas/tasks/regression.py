"""One number per image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas.tasks.classes import refuse_class_weights
from sfg_nas.tasks.heads import pooled_head
from sfg_nas.tasks.kind import (
    Labels,
    TaskFields,
    TaskKind,
    WrongFieldError,
    WrongLabelError,
    number_in,
)

_SINGLE = torch.finfo(torch.float32)
_TINY = _SINGLE.tiny
_ROUNDED = 100


class Regression(TaskKind):
    """A number in the task's unit, NaN where it is missing.

    The network predicts `(target - center) / scale`. For a Gaussian of standard deviation 1 the loss
    is half the squared error, for a Laplace distribution of scale 1 the absolute error, both in the
    network's units, so that a perfect prediction scores 0. `rmse` is no likelihood but a loss of the
    paper's published code: the root of the squared error's mean over what has a label in the batch.
    """

    likelihoods = ("gaussian", "laplace", "rmse")
    metrics = ("mae", "rmse")
    higher_is_better = False
    has_unit = True
    dtype = torch.float32
    missing = math.nan

    def check(self, task: TaskFields) -> None:
        """Refuse other numbers of outputs than 1, and classes."""
        if task.outputs != 1:
            raise WrongFieldError("outputs", "a regression has 1 output", task.outputs)
        if task.classes:
            raise WrongFieldError("classes", "a regression has no classes", task.classes)
        refuse_class_weights(task)

    def head(
        self, task: TaskFields, features: torch.Size, image: Sequence[int] | None
    ) -> nn.Module:
        """Return global average pool and one linear layer with one output."""
        del image
        return pooled_head(features, task.outputs)

    def loss(self, task: TaskFields, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss over the examples that have a label; `rmse`: the root of the mean square."""
        number = output.squeeze(-1)
        labelled = ~torch.isnan(target)
        # The target is replaced before the subtraction: NaN times a mask of zeros is still NaN.
        wanted = (target - task.center) / task.scale
        difference = number - torch.where(labelled, wanted, 0.0).to(number.dtype)
        if task.likelihood == "laplace":
            terms = difference.abs()
        else:
            terms = difference.square() * (0.5 if task.likelihood == "gaussian" else 1.0)
        mean = torch.where(labelled, terms, 0.0).sum() / labelled.sum().clamp(min=1)
        if task.likelihood != "rmse":
            return mean
        # The root's slope has no bound at 0: there it is taken for flat.
        return torch.where(mean > 0, mean.clamp(min=_TINY).sqrt(), mean)

    def decode(self, task: TaskFields, output: Tensor) -> Tensor:
        """Return numbers `[N]` in the task's unit."""
        return output.squeeze(-1) * task.scale + task.center

    def scores(self, task: TaskFields, output: Tensor, target: Tensor) -> dict[str, float]:
        """Return the mean absolute error and the root of the mean squared one, in the unit."""
        labelled = ~torch.isnan(target)
        error = (self.decode(task, output.double()) - target.double())[labelled]
        # Single precision has no squares of numbers below 1e-23 or above 1e19: of spreads these are only where a
        # network diverged, of a unit anywhere.
        spreads = (error / task.scale).float()
        root = float(spreads.square().mean().sqrt())
        return {"mae": float(error.abs().mean()), "rmse": task.scale * root}

    def imitation(
        self, task: TaskFields, output: Tensor, wanted: Tensor, temperature: float
    ) -> Tensor:
        """Return the mean squared error of the outputs, which are in units of the target's spread."""
        del task, temperature
        return functional.mse_loss(output, wanted)

    def mean(self, task: TaskFields, drawn: Tensor) -> Tensor:
        """Return the mean number."""
        del task
        return drawn.mean(0)

    def parse(self, task: TaskFields, cell: str) -> float:
        """Return the number in a cell."""
        del task
        value = number_in(cell) if cell.strip() else math.nan
        if value is None or math.isinf(value):
            raise WrongLabelError("a finite number, or nothing, is needed", repr(cell))
        return value

    def check_labels(self, task: TaskFields, labels: Labels) -> Labels:
        """Return numbers `[N]`."""
        del task
        if (np.abs(labels) > _SINGLE.max).any():  # NaN is not
            raise WrongLabelError("finite numbers, or NaN where missing, are needed", "infinity")
        return labels

    def describe(self, task: TaskFields, output: Tensor) -> dict[str, list[object]]:
        """Return the number."""
        return {"": list(self.decode(task, output.double()).tolist())}

    def strata(self, task: TaskFields, target: Tensor) -> Tensor:
        """Return the fifth of the known numbers that an example lies in, -1 where it is not known."""
        del task
        known = target[~torch.isnan(target)].double()
        if known.numel() == 0:
            return torch.full(target.shape, -1, dtype=torch.int64)
        edges = torch.quantile(known, torch.tensor([0.2, 0.4, 0.6, 0.8], dtype=torch.float64))
        fifth = torch.bucketize(target.double().nan_to_num(), edges)
        return torch.where(torch.isnan(target), -1, fifth)

    def metric_unit(self, task: TaskFields) -> str | None:
        """Return the unit of the target."""
        return task.unit

    def quality(self, task: TaskFields, value: float) -> float:
        """Return 1 less the error in spreads of the target."""
        return 1 - value / task.scale

    def unmeasured(self, task: TaskFields) -> bool:
        """Return whether center and scale are still those of a new task."""
        return task.center == 0.0 and task.scale == 1.0

    def measured(self, task: TaskFields, targets: Tensor) -> Mapping[str, object]:
        """Return mean and standard deviation; a constant target has scale 1.

        Raises:
            WrongLabelError: If no number is known, or they were rounded by more than a hundredth of their spread.
        """
        del task
        known = targets[torch.isfinite(targets)].double()
        if known.numel() == 0:
            raise WrongLabelError("the training part needs at least one label", "none")
        spread = float(known.std(correction=0))
        rounded = float(known.abs().max()) * _SINGLE.eps / 2
        if 0 < spread < _ROUNDED * rounded:  # such as seconds since 1970
            rule = (
                "numbers whose differences single precision keeps are needed (subtract a constant)"
            )
            found = f"a spread of {spread:.3g} about {float(known.mean()):.6g}, rounded by up to {rounded:.3g}"
            raise WrongLabelError(rule, found)
        return {"center": float(known.mean()), "scale": spread if spread > 0 else 1.0}
