"""One level out of several that have an order, per image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas.tasks.binary import divergence, masked_cross_entropy
from sfg_nas.tasks.classes import (
    check_classes,
    check_names,
    class_of,
    name_of,
    names_of,
    refuse_class_weights,
)
from sfg_nas.tasks.heads import pooled_head
from sfg_nas.tasks.kind import Labels, TaskFields, TaskKind, WrongFieldError


class Ordinal(TaskKind):
    """A level number from 0, -1 where it is missing.

    Output k of `outputs - 1` is the logit of "above level k, given that it is at least level k"
    (a continuation ratio). So the probabilities are consistent by construction,
    `P(y > k) = s_0 ... s_k`, and the sum of the binary cross-entropies of the questions that an
    example answers is its negative log-likelihood. Source: Shi, Cao and Raschka 2023, "Deep neural
    networks for rank-consistent ordinal regression based on conditional probabilities" (CORN). They
    divide by the number of answered questions, we by the number of examples, as a likelihood asks.
    """

    likelihoods = ("continuation",)
    metrics = ("mae", "accuracy", "kappa")
    higher_is_better = False

    def check(self, task: TaskFields) -> None:
        """Refuse fewer than two levels."""
        if task.outputs < 2:
            rule = "an ordinal task needs at least 2 levels"
            raise WrongFieldError("outputs", rule, task.outputs)
        check_names(task, "levels")
        refuse_class_weights(task)

    def head(
        self, task: TaskFields, features: torch.Size, image: Sequence[int] | None
    ) -> nn.Module:
        """Return global average pool and one linear layer with an output per step between levels."""
        del image
        return pooled_head(features, task.outputs - 1)

    def loss(self, task: TaskFields, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean negative log-likelihood of the levels."""
        del task
        steps = torch.arange(output.shape[-1], device=output.device)
        level = target.long().unsqueeze(-1)
        # A question is asked of those that reached its level; a missing level (-1) is asked nothing.
        terms = masked_cross_entropy(output, level > steps, level >= steps)
        return terms.sum() / (target >= 0).sum().clamp(min=1)

    def decode(self, task: TaskFields, output: Tensor) -> Tensor:
        """Return the median level `[N]`, which has the least expected absolute error."""
        del task
        return (_above(output) > 0.5).sum(-1)

    def scores(self, task: TaskFields, output: Tensor, target: Tensor) -> dict[str, float]:
        """Return the mean absolute error in levels, the accuracy, and Cohen's kappa with squared weights."""
        from sklearn.metrics import cohen_kappa_score  # late: half a second

        labelled = target >= 0
        predicted, wanted = self.decode(task, output)[labelled], target[labelled].long()
        kappa = math.nan  # as for one level alone
        if len(torch.unique(torch.cat([predicted, wanted]))) > 1:
            levels = range(task.outputs)
            pair = (wanted.cpu().numpy(), predicted.cpu().numpy())
            kappa = float(cohen_kappa_score(*pair, labels=levels, weights="quadratic"))
        return {
            "mae": float((predicted - wanted).abs().double().mean()),
            "accuracy": float((predicted == wanted).double().mean()),
            "kappa": kappa,
        }

    def imitation(
        self, task: TaskFields, output: Tensor, wanted: Tensor, temperature: float
    ) -> Tensor:
        """Return the mean divergence (nats) of the softened answers to all questions."""
        del task
        return divergence(output, wanted, temperature)

    def mean(self, task: TaskFields, drawn: Tensor) -> Tensor:
        """Return the conditional logits that belong to the mean of the probabilities of the levels."""
        del task
        log = functional.logsigmoid
        reached = log(drawn).cumsum(-1)
        before = functional.pad(reached, (1, 0))[..., :-1]
        above, at = reached.logsumexp(0), (before + log(-drawn)).logsumexp(0)
        return above - at

    def parse(self, task: TaskFields, cell: str) -> float:
        """Return the level that a cell names."""
        return class_of(task, cell, "level")

    def fields_of(self, cells: Sequence[str], classes: Sequence[str]) -> Mapping[str, object]:
        """Return the levels that the user named, lowest first, or the numbers that occur in a stable order."""
        names = names_of(cells, classes, ordered=True)
        return {"outputs": len(names), "classes": names}

    def check_labels(self, task: TaskFields, labels: Labels) -> Labels:
        """Return level numbers `[N]`."""
        return check_classes(task, labels, "levels")

    def describe(self, task: TaskFields, output: Tensor) -> dict[str, list[object]]:
        """Return the median level, and the probability of each."""
        above = functional.pad(_above(output), (1, 0), value=1.0)
        shares = (above - functional.pad(above[..., 1:], (0, 1))).T.tolist()
        columns: dict[str, list[object]] = {
            "": [name_of(task, k) for k in self.decode(task, output).tolist()]
        }
        return columns | {str(name_of(task, k)): list(own) for k, own in enumerate(shares)}

    def metric_unit(self, task: TaskFields) -> str | None:
        """Return levels."""
        del task
        return "levels"

    def quality(self, task: TaskFields, value: float) -> float:
        """Return 1 less the error as a share of the greatest possible one."""
        return 1 - value / (task.outputs - 1)


def _above(output: Tensor) -> Tensor:
    """Return P(y > k) `[N, outputs - 1]`."""
    return functional.logsigmoid(output.double()).cumsum(-1).exp()
