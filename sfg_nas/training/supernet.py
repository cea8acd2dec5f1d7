"""The supernet as a thing to train: its objective, its temperature, its two kinds of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from sfg_nas.sharing import Supernet, Temperature, objective
from sfg_nas.tasks import Task
from sfg_nas.training.method import Loss, ParameterGroup, task_losses


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """What the search adds to a training run.

    Attributes:
        temperature: Of the Gumbel-softmax, over the whole run.
        allocation_learning_rate: Peak rate of the logits of the assignments.
        lambda1: Weight of the sum of squared weights.
        lambda2: Weight of the entropy of the assignments; both signs are legal.
        lambda3: Weight of the expected MACs relative to all shared.
        examples: Training examples N, which the objective is divided by.
        warmup: Fraction of the run, in [0, 1), during which the assignments stay as they are and the
            weights alone learn. The temperature begins to fall after it.
    """

    temperature: Temperature
    allocation_learning_rate: float
    lambda1: float
    lambda2: float
    lambda3: float
    examples: int
    warmup: float = 0.0


class SupernetMethod:
    """Trains weights and assignments together on the objective of the paper, divided by N."""

    def __init__(
        self, supernet: Supernet, tasks: Sequence[Task], settings: SearchSettings, *, steps: int
    ) -> None:
        """Keep the supernet and set its temperature to the start.

        Args:
            supernet: The relaxed network.
            tasks: The tasks, with their weights.
            settings: The weights of the objective's terms and the temperature.
            steps: Length of the run, for schedules with a rate per step.
        """
        self._supernet = supernet
        self._tasks = tuple(tasks)
        self._settings = settings
        self._steps = steps
        self.before_step(0.0)

    @property
    def module(self) -> nn.Module:
        """Return the supernet."""
        return self._supernet

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Return the weights, and the logits of the assignments with Adam and without decay."""
        return [
            ParameterGroup("weights", self._supernet.weight_parameters()),
            ParameterGroup(
                "allocation",
                self._supernet.allocation_parameters(),
                learning_rate=self._settings.allocation_learning_rate,
                weight_decay=0.0,
                optimizer="adam",
            ),
        ]

    def loss(self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor]) -> Loss:
        """Return the objective of one batch and its terms."""
        value = objective(
            self._supernet,
            task_losses(self._tasks, network(images), targets),
            examples=self._settings.examples,
            lambda1=self._settings.lambda1,
            lambda2=self._settings.lambda2,
            lambda3=self._settings.lambda3,
            weights={task.name: task.weight for task in self._tasks},
        )
        parts = {f"loss/{name}": part for name, part in value.losses.items()}
        parts |= {"penalty": value.penalty, "entropy": value.entropy, "cost": value.cost}
        return Loss(value.total, parts)

    def before_step(self, progress: float) -> None:
        """Set temperature and estimator for a point of the run in [0, 1], and free the assignments."""
        warmup = self._settings.warmup
        begun = progress >= warmup - 1e-9
        for logits in self._supernet.allocation_parameters():
            logits.requires_grad_(
                begun
            )  # without a gradient Adam leaves them, and its moments, alone
        since = max(progress - warmup, 0.0) / (1 - warmup)
        steps = round(self._steps * (1 - warmup))
        self._supernet.temperature = self._settings.temperature.at(since, steps)
        self._supernet.assignments.progress = since

    def epoch_values(self) -> Mapping[str, float]:
        """Return the temperature of the last step."""
        return {"temperature": self._supernet.temperature}

    def state_tensors(self) -> dict[str, Tensor]:
        """Return the state of the random stream that the masks are drawn from."""
        return {"masks": self._supernet.generator_state()}

    def load_state_tensors(self, state: Mapping[str, Tensor]) -> None:
        """Set the random stream of the masks."""
        self._supernet.set_generator_state(state["masks"])
