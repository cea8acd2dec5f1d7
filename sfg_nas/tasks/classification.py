"""One class out of several per image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas.tasks.classes import check_classes, check_names, class_of, name_of, names_of
from sfg_nas.tasks.heads import pooled_head
from sfg_nas.tasks.kind import Labels, TaskFields, TaskKind, WrongFieldError, WrongLabelError

MISSING_CLASS = -1
"""The label of an example whose class is not known; a missing number is NaN."""
BALANCED = "balanced"
"""Class weights that are measured on the training part."""


class Classification(TaskKind):
    """A class number, -1 where it is missing; cross-entropy, weighted by class if asked for."""

    likelihoods = ("categorical",)
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy")
    higher_is_better = True

    def check(self, task: TaskFields) -> None:
        """Refuse fewer than two classes and weights that are not one above 0 for each."""
        if task.outputs < 2:
            rule = "a classification needs at least 2 classes"
            raise WrongFieldError("outputs", rule, task.outputs)
        check_names(task, "classes")
        weights = task.class_weights
        if not weights or weights == BALANCED:
            return
        sound = not isinstance(weights, str) and len(weights) == task.outputs
        if not sound or not all(math.isfinite(float(w)) and float(w) > 0 for w in weights):
            rule = f"{task.outputs} numbers above 0, or {BALANCED!r}, are needed"
            raise WrongFieldError("class_weights", rule, weights)

    def head(
        self, task: TaskFields, features: torch.Size, image: Sequence[int] | None
    ) -> nn.Module:
        """Return global average pool and one linear layer with an output per class."""
        del image
        return pooled_head(features, task.outputs)

    def loss(self, task: TaskFields, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross-entropy; with class weights the weighted mean."""
        labels = target.long().clamp(min=MISSING_CLASS)
        weight = _weights(task, output)
        total = functional.cross_entropy(
            output, labels, weight, ignore_index=MISSING_CLASS, reduction="sum"
        )
        known = labels != MISSING_CLASS
        if weight is None:
            return total / known.sum().clamp(min=1)
        mass = (weight[labels.clamp(min=0)] * known).sum()
        return total / torch.where(mass > 0, mass, 1.0)

    def decode(self, task: TaskFields, output: Tensor) -> Tensor:
        """Return the most probable classes `[N]`."""
        del task
        return output.argmax(dim=-1)

    def scores(self, task: TaskFields, output: Tensor, target: Tensor) -> dict[str, float]:
        """Return the accuracy, and the mean recall of the classes that occur, as fractions."""
        from sklearn.metrics import accuracy_score, recall_score  # late: half a second

        del task
        labelled = target >= 0
        predicted = output.argmax(dim=-1)[labelled].cpu().numpy()
        wanted = target[labelled].long().cpu().numpy()
        # Not `balanced_accuracy_score`, which warns of a class that is predicted and never occurs.
        recall = recall_score(wanted, predicted, labels=np.unique(wanted), average="macro")
        accuracy = accuracy_score(wanted, predicted)
        return {"accuracy": float(accuracy), "balanced_accuracy": float(recall)}

    def imitation(
        self, task: TaskFields, output: Tensor, wanted: Tensor, temperature: float
    ) -> Tensor:
        """Return the Kullback-Leibler divergence (nats) of the softened probabilities.

        It is multiplied by the squared temperature, so that its gradient keeps its size at every
        temperature (Hinton et al. 2015, section 2).
        """
        del task
        return temperature**2 * functional.kl_div(
            functional.log_softmax(output / temperature, dim=-1),
            functional.log_softmax(wanted / temperature, dim=-1),
            reduction="batchmean",
            log_target=True,
        )

    def mean(self, task: TaskFields, drawn: Tensor) -> Tensor:
        """Return, up to a constant, the logarithm of the mean probabilities."""
        del task
        return drawn.log_softmax(-1).logsumexp(0)

    def parse(self, task: TaskFields, cell: str) -> float:
        """Return the class that a cell names."""
        return class_of(task, cell, "class")

    def fields_of(self, cells: Sequence[str], classes: Sequence[str]) -> Mapping[str, object]:
        """Return the classes that the user named, or those that occur in a stable order."""
        names = names_of(cells, classes)
        return {"outputs": len(names), "classes": names}

    def check_labels(self, task: TaskFields, labels: Labels) -> Labels:
        """Return class numbers `[N]`."""
        return check_classes(task, labels, "classes")

    def describe(self, task: TaskFields, output: Tensor) -> dict[str, list[object]]:
        """Return the class, and the probability of each."""
        shares = output.double().softmax(-1).T.tolist()
        columns: dict[str, list[object]] = {
            "": [name_of(task, k) for k in self.decode(task, output).tolist()]
        }
        return columns | {str(name_of(task, k)): list(own) for k, own in enumerate(shares)}

    def unmeasured(self, task: TaskFields) -> bool:
        """Return whether balanced weights are still to be computed."""
        return task.class_weights == BALANCED

    def measured(self, task: TaskFields, targets: Tensor) -> Mapping[str, object]:
        """Return balanced weights, `n / (classes x n_k)`, 1 for a class without an example.

        Source: King and Zeng 2001, as in scikit-learn's `compute_class_weight`.
        """
        if not self.unmeasured(task):
            return {}
        known = targets[targets >= 0].long()
        if known.numel() == 0:
            raise WrongLabelError("the training part needs at least one label", "none")
        counts = torch.bincount(known, minlength=task.outputs).tolist()
        total = len(known) / task.outputs
        return {"class_weights": tuple(total / n if n else 1.0 for n in counts)}


def _weights(task: TaskFields, output: Tensor) -> Tensor | None:
    if not task.class_weights:
        return None
    if isinstance(task.class_weights, str):
        rule = "balanced weights must be measured on training targets first"
        raise WrongFieldError("class_weights", rule, task.class_weights)
    return output.new_tensor(task.class_weights)
