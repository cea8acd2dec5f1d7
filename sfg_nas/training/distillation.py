"""Training with a teacher: a frozen network whose outputs the trained one follows beside the labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sfg_nas.errors import ConfigError, explain
from sfg_nas.tasks import Task
from sfg_nas.training.evaluation import placement
from sfg_nas.training.method import Loss, SupervisedMethod, task_losses


@dataclass(frozen=True)
class Distillation:
    """How much a teacher counts.

    Attributes:
        weight: Of the teacher's term, in [0, 1]; that of the labels is one less it.
        temperature: What the logits of classifications are divided by, above 0.

    Raises:
        ConfigError: If a number is impossible.
    """

    weight: float = 0.5
    temperature: float = 4.0

    def __post_init__(self) -> None:
        checks = (
            ("weight", 0 <= self.weight <= 1, "`0 <= weight <= 1` must hold"),
            ("temperature", 0 < self.temperature < math.inf, "`temperature > 0` must hold"),
        )
        for name, holds, rule in checks:
            if not holds:
                where, found = f"distillation: {name}", repr(getattr(self, name))
                raise ConfigError(explain(where=where, rule=rule, found=found, do="change it"))


class DistilledMethod(SupervisedMethod):
    """Trains a network on the labels and on what a teacher says about the same (augmented) images.

    Source: Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network".
    """

    def __init__(
        self,
        network: nn.Module,
        tasks: Sequence[Task],
        teacher: nn.Module,
        settings: Distillation,
    ) -> None:
        """Keep the networks; the teacher is put into eval mode and its parameters are frozen.

        Args:
            network: Maps images [N, C, H, W] to a mapping from task to output.
            tasks: The tasks to train, with their weights.
            teacher: Likewise; no part of the module that is trained or of a checkpoint.
            settings: Weight and temperature.
        """
        super().__init__(network, tasks)
        self._teacher = teacher.eval().requires_grad_(False)
        self._distillation = settings

    def loss(self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor]) -> Loss:
        """Return the weighted sum over the tasks of both terms."""
        outputs = network(images)
        wanted = self._taught(images)
        weight = self._distillation.weight
        hard = task_losses(self._tasks, outputs, targets)
        soft = {
            task.name: task.imitation(
                outputs[task.name], wanted[task.name], self._distillation.temperature
            )
            for task in self._tasks
        }
        terms = [
            task.weight * ((1 - weight) * hard[task.name] + weight * soft[task.name])
            for task in self._tasks
        ]
        parts = {f"loss/{name}": value for name, value in hard.items()}
        parts |= {f"teacher/{name}": value for name, value in soft.items()}
        return Loss(torch.stack(terms).sum(), parts)

    @torch.no_grad()
    def _taught(self, images: Tensor) -> Mapping[str, Tensor]:
        if placement(self._teacher)[0] != images.device:
            self._teacher.to(images.device)
        outputs: Mapping[str, Tensor] = self._teacher(images.to(placement(self._teacher)[1]))
        return outputs
