"""A number at every pixel, such as the CT that an MR would have had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from sfg_nas.tasks.classes import refuse_class_weights
from sfg_nas.tasks.encoding import Encoding, Pixels
from sfg_nas.tasks.heads import spatial_of
from sfg_nas.tasks.kind import Labels, TaskFields, WrongFieldError, WrongLabelError
from sfg_nas.tasks.on_pixels import OnPixels
from sfg_nas.tasks.pixels import numbers_of
from sfg_nas.tasks.regression import Regression


class DenseRegression(OnPixels, Regression):
    """A number in the task's unit at every pixel, NaN where it is missing.

    Outputs are `[N, 1, *spatial]` and targets `[N, *spatial]`. Where the task names regions (`classes`), targets are
    `[N, 2, *spatial]`: the number, and the region's place among the names or -1; the error is then also reported for
    each region, as `mae/<region>`. A Gaussian likelihood is the L2 loss (half the square), a Laplacian the L1 loss.
    """

    metrics = ("mae", "rmse")
    pixel_keys = ("missing", "factor")

    def check(self, task: TaskFields) -> None:
        """Refuse other numbers of outputs than 1, and a region that is named twice."""
        if task.outputs != 1:
            raise WrongFieldError("outputs", "a dense regression has 1 output", task.outputs)
        if len(set(task.classes)) < len(task.classes):
            raise WrongFieldError("classes", "regions need different names", list(task.classes))
        refuse_class_weights(task)

    def target_shape(self, task: TaskFields, image: Sequence[int] | None) -> tuple[int, ...]:
        """Return the image's spatial shape, after a 2 where the task names regions."""
        spatial = spatial_of(image)
        return (2, *spatial) if task.classes else spatial

    def loss(self, task: TaskFields, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss over the pixels that have a label."""
        return super().loss(task, output.movedim(1, -1), _numbers(task, target))

    def decode(self, task: TaskFields, output: Tensor) -> Tensor:
        """Return numbers `[N, *spatial]` in the task's unit."""
        return super().decode(task, output.movedim(1, -1))

    def labelled(self, task: TaskFields, target: Tensor) -> Tensor:
        """Return which examples have a pixel with a label, `[N]`."""
        return super().labelled(task, _numbers(task, target))

    def tally(self, task: TaskFields, output: Tensor, target: Tensor) -> Tensor:
        """Return counts, absolute and squared errors `[1 + regions, 3]`, the first row over all pixels."""
        wanted = _numbers(task, target)
        known = ~torch.isnan(wanted)
        error = (self.decode(task, output)[known] - wanted[known]).double()
        parts = [torch.ones_like(error), error.abs(), error.square()]
        whole = torch.stack([part.sum() for part in parts])
        if not task.classes:
            return whole[None]
        # The first bin takes what has no region.
        region = target[:, 1][known].nan_to_num(-1).long() + 1
        count = len(task.classes) + 1
        rows = torch.stack([torch.bincount(region, part, count)[:count] for part in parts], dim=1)
        return torch.cat([whole[None], rows[1:]])

    def conclude(self, task: TaskFields, tally: Tensor) -> dict[str, float]:
        """Return the errors in the unit, and the mean absolute one of each region; NaN where nothing has a label."""
        count, absolute, squared = (tally / tally[:, :1]).unbind(1)
        del count
        values = {"mae": float(absolute[0]), "rmse": float(squared[0].sqrt())}
        return values | {
            f"mae/{region}": float(absolute[place + 1]) for place, region in enumerate(task.classes)
        }

    def scores(self, task: TaskFields, output: Tensor, target: Tensor) -> dict[str, float]:
        """Return the errors over all pixels, in the unit."""
        return self.conclude(task, self.tally(task, output, target))

    def check_labels(self, task: TaskFields, labels: Labels) -> Labels:
        """Return numbers `[N, *spatial]`, or `[N, 2, *spatial]` with regions."""
        numbers = super().check_labels(task, labels)
        if not task.classes:
            return numbers
        if labels.ndim < 2 or labels.shape[1] != 2:
            raise WrongLabelError("numbers and regions [N, 2, *spatial] are needed", labels.shape)
        known = labels[:, 1][~np.isnan(labels[:, 1])]
        if ((known != np.round(known)) | (known < -1) | (known >= len(task.classes))).any():
            rule = f"regions from 0 to {len(task.classes) - 1}, or -1, are needed"
            raise WrongLabelError(rule, sorted(set(known.tolist()))[:5])
        return numbers

    def from_pixels(self, task: TaskFields, pixels: Pixels, encoding: Encoding) -> Labels:
        """Return numbers `[H, W]` in the task's unit."""
        del task
        return numbers_of(pixels, encoding)

    def to_pixels(self, task: TaskFields, labels: Pixels, encoding: Encoding) -> Pixels:
        """Return numbers `[H, W]` in the task's unit, whatever the label images hold."""
        del task, encoding
        return labels.astype(np.float32)

    def describe(self, task: TaskFields, output: Tensor) -> dict[str, list[object]]:
        """Return the mean number of each image."""
        return {"": list(self.decode(task, output).flatten(1).mean(1).tolist())}

    def measured(self, task: TaskFields, targets: Tensor) -> Mapping[str, object]:
        """Return mean and standard deviation over all pixels."""
        return super().measured(task, _numbers(task, targets))


def _numbers(task: TaskFields, target: Tensor) -> Tensor:
    return target[:, 0] if task.classes else target
