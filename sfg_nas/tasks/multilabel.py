"""Any number of labels per image, each there or not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sfg_nas.tasks.binary import divergence, masked_cross_entropy, mean_logits
from sfg_nas.tasks.classes import check_names, name_of, refuse_class_weights
from sfg_nas.tasks.heads import pooled_head
from sfg_nas.tasks.kind import Cell, Labels, TaskFields, TaskKind, WrongFieldError, WrongLabelError

NONE = "none"
"""The cell of an image that has none of the labels; an empty cell means that nothing is known."""
SEPARATORS = ";|,"
YES = ("1", "1.0", "true", "yes", "y")
NO = ("0", "0.0", "false", "no", "n", "-1", "-1.0")
"""In a column of its own -1 means no, as in CelebA's table; nothing means unknown."""


class MultiLabel(TaskKind):
    """Labels `[N, outputs]` of 0 and 1, each of them -1 where it is missing.

    One logistic unit per label (Bishop 2006, section 5.2). The log-likelihood is averaged over the
    known labels, not summed over those of an image, so that the task's weight means the same
    whatever the number of labels.
    """

    likelihoods = ("bernoulli",)
    metrics = ("average_precision", "f1", "accuracy")
    higher_is_better = True
    many_columns = True

    def check(self, task: TaskFields) -> None:
        """Refuse no label at all, and names that cannot stand in a list."""
        if task.outputs < 1:
            raise WrongFieldError("outputs", "at least 1 label is needed", task.outputs)
        check_names(task, "labels")
        if any(set(name) & set(SEPARATORS) or name == NONE for name in task.classes):
            rule = f"names without {' '.join(SEPARATORS)}, and not {NONE!r}, are needed"
            raise WrongFieldError("classes", rule, list(task.classes))
        refuse_class_weights(task)

    def head(
        self, task: TaskFields, features: torch.Size, image: Sequence[int] | None
    ) -> nn.Module:
        """Return global average pool and one linear layer with an output per label."""
        del image
        return pooled_head(features, task.outputs)

    def loss(self, task: TaskFields, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean binary cross-entropy over all known labels."""
        del task
        known = target >= 0
        terms = masked_cross_entropy(output, target.clamp(min=0), known)
        return terms.sum() / known.sum().clamp(min=1)

    def decode(self, task: TaskFields, output: Tensor) -> Tensor:
        """Return `[N, outputs]`: 1 where a label is more probable than not."""
        del task
        return (output > 0).long()

    def scores(self, task: TaskFields, output: Tensor, target: Tensor) -> dict[str, float]:
        """Return the mean over the labels of average precision and F1, and the share that is right.

        A label without a positive among the examples has no average precision and is left out of
        the first two; they are NaN if that is every label.
        """
        from sklearn.metrics import average_precision_score, f1_score  # late: half a second

        precisions, balances = [], []
        for k in range(task.outputs):
            known = target[:, k] >= 0
            own = output[known, k].nan_to_num().double().cpu().numpy()
            wanted = (target[known, k] == 1).cpu().numpy()
            if wanted.any():
                precisions.append(float(average_precision_score(wanted, own)))
                balances.append(float(f1_score(wanted, own > 0)))
        known = target >= 0
        right = (self.decode(task, output) == target)[known].double().mean()
        return {
            "average_precision": math.fsum(precisions) / len(precisions)
            if precisions
            else math.nan,
            "f1": math.fsum(balances) / len(balances) if balances else math.nan,
            "accuracy": float(right),
        }

    def imitation(
        self, task: TaskFields, output: Tensor, wanted: Tensor, temperature: float
    ) -> Tensor:
        """Return the mean divergence (nats) of the softened probabilities of each label."""
        del task
        return divergence(output, wanted, temperature)

    def mean(self, task: TaskFields, drawn: Tensor) -> Tensor:
        """Return the logits of the mean probabilities."""
        del task
        return mean_logits(drawn)

    def parse(self, task: TaskFields, cell: str) -> Cell:
        """Return 0 or 1 for each label of a list such as `smile;hat`; `none` for none of them."""
        text = cell.strip()
        if not text or text.lower() == "nan":
            return (math.nan,) * task.outputs
        names = task.classes or tuple(str(k) for k in range(task.outputs))
        found = set() if text.lower() == NONE else set(split(text))
        if found - set(names):
            rule = f"a list of {', '.join(names)}, separated by `;`, or {NONE!r}, is needed"
            raise WrongLabelError(rule, repr(cell))
        return tuple(float(name in found) for name in names)

    def fields_of(self, cells: Sequence[str], classes: Sequence[str]) -> Mapping[str, object]:
        """Return the labels that the user named, or those that the lists hold, by alphabet."""
        found = {name for cell in cells if cell.lower() != NONE for name in split(cell)}
        names = tuple(classes) or tuple(sorted(found))
        return {"outputs": len(names), "classes": names}

    def parse_columns(self, task: TaskFields, cells: Sequence[str]) -> Cell:
        """Return the labels that one row's yes-or-no columns hold."""
        words = [cell.strip().lower() for cell in cells]
        for word, cell in zip(words, cells, strict=True):
            if word not in (*YES, *NO, ""):
                rule = "1 or 0 (true, false, yes, no), or nothing, is needed"
                raise WrongLabelError(rule, repr(cell))
        del task
        return tuple(math.nan if not w else float(w in YES) for w in words)

    def strata(self, task: TaskFields, target: Tensor) -> Tensor:
        """Return a number for each combination of labels."""
        del task
        strata: Tensor = torch.unique(target, dim=0, return_inverse=True)[1]
        return strata

    def scored(self, task: TaskFields, target: Tensor) -> Tensor:
        """Return which examples have one of the labels: average precision needs a positive."""
        del task
        return (target == 1).any(1)

    def check_labels(self, task: TaskFields, labels: Labels) -> Labels:
        """Return labels `[N, outputs]`."""
        del task
        known = np.where(labels == -1, math.nan, labels)
        wrong = known[~(np.isnan(known) | (known == 0) | (known == 1))]
        if wrong.size:
            rule = "0, 1, or -1 where missing, are needed"
            raise WrongLabelError(rule, sorted(set(wrong.tolist()))[:5])
        return known

    def describe(self, task: TaskFields, output: Tensor) -> dict[str, list[object]]:
        """Return the list of the labels that are there, and the probability of each."""
        shares = output.double().sigmoid().T.tolist()
        names = [str(name_of(task, k)) for k in range(task.outputs)]
        lists: list[object] = [
            ";".join(name for name, there in zip(names, row, strict=True) if there) or NONE
            for row in self.decode(task, output).tolist()
        ]
        return {"": lists} | {name: list(own) for name, own in zip(names, shares, strict=True)}

    def target_shape(self, task: TaskFields, image: Sequence[int] | None) -> tuple[int, ...]:
        """Return the number of labels."""
        del image
        return (task.outputs,)


def split(text: str) -> list[str]:
    """Return the names in a list such as `smile;hat`, whatever separates them.

    Args:
        text: A cell.
    """
    for separator in SEPARATORS[1:]:
        text = text.replace(separator, SEPARATORS[0])
    return [name.strip() for name in text.split(SEPARATORS[0]) if name.strip()]
