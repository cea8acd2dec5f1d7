"""A direction at every pixel, such as that in which a surface faces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sfg_nas.tasks.classes import refuse_class_weights
from sfg_nas.tasks.encoding import Encoding, Pixels
from sfg_nas.tasks.heads import spatial_of
from sfg_nas.tasks.kind import Labels, TaskFields, WrongFieldError, WrongLabelError
from sfg_nas.tasks.on_pixels import OnPixels
from sfg_nas.tasks.pixels import directions_of

_PARTS = 3
_WITHIN = (11.25, 22.5, 30.0)
"""Angles in degrees below which a direction counts as met (Fouhey, Gupta & Hebert 2013)."""
_BINS = 3600
"""Of the angles from 0 to 180 degrees that the median is read from: 0.05 degrees each."""


class Normals(OnPixels):
    """A direction in space at every pixel; NaN, or a vector of length 0, where it is missing.

    Outputs and targets are `[N, 3, *spatial]`: the parts along the image's last axis (to the right), along the one
    before it, and out of the image. The loss is 1 less the cosine of the angle between output and target, the negative
    log-likelihood of a von Mises-Fisher distribution of concentration 1 up to a constant, and the loss of Liu, Johns &
    Davison 2019 (MTAN, section 4.1) plus 1. Metrics are angles in degrees over all labelled pixels: the mean, the
    median (to 0.05 degrees), and the shares within 11.25, 22.5 and 30 degrees.
    """

    likelihoods = ("von-mises-fisher",)
    metrics = ("angle", "median", "within11", "within22", "within30")
    higher_is_better = False
    directed = True
    dtype = torch.float32
    missing = float("nan")

    def check(self, task: TaskFields) -> None:
        """Refuse other numbers of outputs than 3, and classes."""
        if task.outputs != _PARTS:
            raise WrongFieldError("outputs", "normals have 3 outputs", task.outputs)
        if task.classes:
            raise WrongFieldError("classes", "normals have no classes", list(task.classes))
        refuse_class_weights(task)

    def target_shape(self, task: TaskFields, image: Sequence[int] | None) -> tuple[int, ...]:
        """Return 3 and the image's spatial shape."""
        del task
        return (_PARTS, *spatial_of(image))

    def labelled(self, task: TaskFields, target: Tensor) -> Tensor:
        """Return which examples have a pixel with a label, `[N]`."""
        del task
        return (~torch.isnan(target).any(1)).flatten(1).any(1)

    def loss(self, task: TaskFields, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean of 1 less the cosine over the pixels that have a label."""
        del task
        known = ~torch.isnan(target).any(1)
        wanted = target.nan_to_num().to(output.dtype)
        terms = 1 - functional.cosine_similarity(output, wanted, dim=1)
        return torch.where(known, terms, 0.0).sum() / known.sum().clamp(min=1)

    def decode(self, task: TaskFields, output: Tensor) -> Tensor:
        """Return directions of length 1, `[N, 3, *spatial]`."""
        del task
        return functional.normalize(output, dim=1)

    def tally(self, task: TaskFields, output: Tensor, target: Tensor) -> Tensor:
        """Return the number and sum of the angles, those within each bound, and their histogram, `[2 + 3 + bins]`."""
        known = ~torch.isnan(target).any(1)
        found = self.decode(task, output).double().movedim(1, -1)[known]
        wanted = functional.normalize(target.double().movedim(1, -1)[known], dim=-1)
        # The arc tangent keeps its digits where the arc cosine has none: near 0 and 180 degrees.
        angles = torch.rad2deg(
            2 * torch.atan2((found - wanted).norm(dim=-1), (found + wanted).norm(dim=-1))
        )
        within = torch.stack([(angles < bound).sum() for bound in _WITHIN]).double()
        bins = (angles * (_BINS / 180)).long().clamp(max=_BINS - 1)
        sums = torch.stack([angles.new_tensor(float(angles.numel())), angles.sum()])
        return torch.cat([sums, within, torch.bincount(bins, minlength=_BINS).double()])

    def conclude(self, task: TaskFields, tally: Tensor) -> dict[str, float]:
        """Return mean and median angle in degrees, and the shares within each bound."""
        del task
        count, total = tally[:2]
        below = tally[2 + len(_WITHIN) :].cumsum(0)
        middle = float((below < count / 2).sum()) if float(count) else math.nan
        values = [
            total / count,
            (middle + 0.5) * 180 / _BINS,
            *(tally[2 : 2 + len(_WITHIN)] / count),
        ]
        return dict(zip(self.metrics, map(float, values), strict=True))

    def scores(self, task: TaskFields, output: Tensor, target: Tensor) -> dict[str, float]:
        """Return the angles over all pixels, in degrees."""
        return self.conclude(task, self.tally(task, output, target))

    def imitation(
        self, task: TaskFields, output: Tensor, wanted: Tensor, temperature: float
    ) -> Tensor:
        """Return the mean of 1 less the cosine between both outputs."""
        del task, temperature
        return (1 - functional.cosine_similarity(output, wanted, dim=1)).mean()

    def mean(self, task: TaskFields, drawn: Tensor) -> Tensor:
        """Return the mean of the drawn directions."""
        del task
        return functional.normalize(drawn, dim=2).mean(0)

    def fields_of(self, cells: Sequence[str], classes: Sequence[str]) -> Mapping[str, object]:
        """Return that there are three parts."""
        return {"outputs": _PARTS, **super().fields_of(cells, classes)}

    def check_labels(self, task: TaskFields, labels: Labels) -> Labels:
        """Return directions of length 1, `[N, 3, *spatial]`, NaN where a part is missing or all are 0."""
        del task
        if np.isinf(labels).any():
            raise WrongLabelError("finite numbers, or NaN where missing, are needed", "infinity")
        length = np.sqrt(np.square(labels).sum(1, keepdims=True))
        return labels / np.where(length > 0, length, np.nan)

    def from_pixels(self, task: TaskFields, pixels: Pixels, encoding: Encoding) -> Labels:
        """Return directions `[3, H, W]`."""
        del task, encoding
        return directions_of(pixels)

    def to_pixels(self, task: TaskFields, labels: Pixels, encoding: Encoding) -> Pixels:
        """Return bytes `[H, W, 3]` that stand for -1 to 1, black where there is no direction."""
        del task, encoding
        parts = np.moveaxis(labels, 0, -1)
        return np.where(np.isnan(parts), 0, (parts + 1) * 127.5).round().astype(np.uint8)

    def describe(self, task: TaskFields, output: Tensor) -> dict[str, list[object]]:
        """Return the mean direction of each image, part by part."""
        means = self.decode(task, output).flatten(2).mean(2).T.tolist()
        return {part: list(own) for part, own in zip("xyz", means, strict=True)}

    def metric_unit(self, task: TaskFields) -> str:
        """Return degrees."""
        del task
        return "degrees"

    def quality(self, task: TaskFields, value: float) -> float:
        """Return 1 less the angle in right angles."""
        del task
        return 1 - value / 90
