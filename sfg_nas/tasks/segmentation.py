"""A class at every pixel, such as the organ that it belongs to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from sfg_nas.tasks.classes import name_of
from sfg_nas.tasks.classification import Classification
from sfg_nas.tasks.encoding import Encoding, Pixels
from sfg_nas.tasks.heads import spatial_of
from sfg_nas.tasks.kind import Labels, TaskFields, WrongLabelError
from sfg_nas.tasks.on_pixels import OnPixels
from sfg_nas.tasks.pixels import classes_of, pixels_of_classes


class Segmentation(OnPixels, Classification):
    """A class number at every pixel, -1 where it is missing; class 0 is the background.

    The loss is the cross-entropy plus one less the mean soft Dice coefficient of the classes but the background that
    occur among the labels of the batch (Milletari, Navab & Ahmadi 2016, without the squares). The Dice coefficient
    (Dice 1945) of each class is counted once over all pixels, not as a mean over images; where the classes have names
    it is also reported for each, as `dice/<class>`, NaN for one that occurs neither in the labels nor in the prediction.
    `iou` is the mean overlap over union of all classes that are labelled, the background too (Everingham et al. 2010), as
    data sets without a background, such as NYUv2, are scored.
    """

    metrics = ("dice", "accuracy", "iou")
    pixel_keys = ("values", "missing")

    def target_shape(self, task: TaskFields, image: Sequence[int] | None) -> tuple[int, ...]:
        """Return the image's spatial shape."""
        del task
        return spatial_of(image)

    def loss(self, task: TaskFields, output: Tensor, target: Tensor) -> Tensor:
        """Return cross-entropy and Dice loss over the pixels that have a label."""
        entropy = super().loss(task, output, target)
        known = (target >= 0).flatten()
        shares = output.softmax(1).movedim(1, -1).flatten(0, -2)[known]
        wanted = functional.one_hot(target.long().flatten()[known], task.outputs)
        sizes = wanted.sum(0)
        overlap, total = (shares * wanted).sum(0), shares.sum(0) + sizes
        occurs = sizes > 0
        occurs[0] = False  # the background
        dice = torch.where(occurs, 1 - 2 * overlap / total.clamp(min=1e-6), 0.0)
        return entropy + dice.sum() / occurs.sum().clamp(min=1)

    def decode(self, task: TaskFields, output: Tensor) -> Tensor:
        """Return the most probable classes `[N, *spatial]`."""
        del task
        return output.argmax(dim=1)

    def tally(self, task: TaskFields, output: Tensor, target: Tensor) -> Tensor:
        """Return for each class the pixels of the overlap, of the prediction and of the labels, `[classes, 3]`."""
        known = target >= 0
        predicted, wanted = self.decode(task, output)[known], target[known].long()
        sets = (wanted[predicted == wanted], predicted, wanted)
        counts = [torch.bincount(chosen, minlength=task.outputs) for chosen in sets]
        return torch.stack(counts, dim=1).double()

    def conclude(self, task: TaskFields, tally: Tensor) -> dict[str, float]:
        """Return the mean Dice coefficient of the classes that are labelled, accuracy, mean overlap, and each class's Dice."""
        overlap, predicted, wanted = tally.unbind(1)
        dice = 2 * overlap / (predicted + wanted)
        occurs = wanted > 0
        occurs[0] = False
        # Labels that are all background are met by predicting nothing else.
        alone = float(predicted[1:].sum() == 0) if float(wanted.sum()) else math.nan
        mean = float(dice[occurs].mean()) if bool(occurs.any()) else alone
        overlaps = (overlap / (predicted + wanted - overlap))[wanted > 0]
        values = {
            "dice": mean,
            "accuracy": float(overlap.sum() / wanted.sum()),
            "iou": float(overlaps.mean()),
        }
        named = enumerate(task.classes[1:], start=1)
        return values | {f"dice/{name}": float(dice[place]) for place, name in named}

    def scores(self, task: TaskFields, output: Tensor, target: Tensor) -> dict[str, float]:
        """Return Dice coefficients and accuracy over all pixels."""
        return self.conclude(task, self.tally(task, output, target))

    def imitation(
        self, task: TaskFields, output: Tensor, wanted: Tensor, temperature: float
    ) -> Tensor:
        """Return the mean divergence of the pixels' softened probabilities, as a classification's."""
        flat = [values.movedim(1, -1).flatten(0, -2) for values in (output, wanted)]
        return super().imitation(task, flat[0], flat[1], temperature)

    def mean(self, task: TaskFields, drawn: Tensor) -> Tensor:
        """Return, up to a constant, the logarithm of the mean probabilities."""
        del task
        return drawn.log_softmax(2).logsumexp(0)

    def fields_of(self, cells: Sequence[str], classes: Sequence[str]) -> Mapping[str, object]:
        """Return the classes that the user named, the background first; label images do not tell their names."""
        del cells
        if not classes:
            raise WrongLabelError("`classes`, the background first, are needed", "none")
        return {"outputs": len(classes), "classes": tuple(classes)}

    def from_pixels(self, task: TaskFields, pixels: Pixels, encoding: Encoding) -> Labels:
        """Return classes `[H, W]`."""
        return classes_of(pixels, encoding, task.outputs)

    def to_pixels(self, task: TaskFields, labels: Pixels, encoding: Encoding) -> Pixels:
        """Return an image in the values that label images have."""
        return pixels_of_classes(labels, encoding, task.outputs)

    def describe(self, task: TaskFields, output: Tensor) -> dict[str, list[object]]:
        """Return the share of each image that each class takes."""
        found = functional.one_hot(self.decode(task, output).flatten(1), task.outputs)
        shares = found.double().mean(1).T.tolist()
        return {str(name_of(task, k)): list(own) for k, own in enumerate(shares)}
