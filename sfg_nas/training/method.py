"""What the loop asks of the thing it trains: one protocol for supernets, fixed networks, baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from sfg_nas.baselines import SingleTaskNetworks
from sfg_nas.tasks import Task


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share an optimiser, a learning rate and a limit on the norm of the gradient.

    Attributes:
        name: For the metrics and messages, such as `weights` or `allocation`.
        parameters: The group's parameters.
        learning_rate: Its own peak rate, or None for the settings'.
        weight_decay: Its own decay, or None for the settings'.
        optimizer: Its own optimiser, or None for the settings'.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    learning_rate: float | None = None
    weight_decay: float | None = None
    optimizer: str | None = None


@dataclass(frozen=True)
class Loss:
    """What one batch costs.

    Attributes:
        total: What is descended, a scalar with a graph.
        parts: Scalars to log by name; a part that is not finite is named in the error.
        backward: Sets the gradients of all parameters in place of those of `total`; None for those of `total`.
    """

    total: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    backward: Callable[[], None] | None = None


class Method(Protocol):
    """A thing to train. Whatever changes while it trains is in its module or in `state_tensors`."""

    @property
    def module(self) -> nn.Module:
        """Return the module that holds all parameters; called with images [N, C, H, W]."""

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Return the groups, disjoint and together all that is trained."""

    def loss(self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor]) -> Loss:
        """Return the loss of one batch; `network` is the module, perhaps wrapped for a device."""

    def before_step(self, progress: float) -> None:
        """Advance schedules; `progress` in [0, 1] is the fraction of the steps that were taken."""

    def epoch_values(self) -> Mapping[str, float]:
        """Return further numbers for the epoch's row."""

    def state_tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint needs beside the module's state."""

    def load_state_tensors(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state_tensors` gave."""


class SupervisedMethod:
    """Trains any network that maps images to one output per task: the weighted sum of the tasks' losses."""

    def __init__(self, network: nn.Module, tasks: Sequence[Task]) -> None:
        """Keep the network and its tasks.

        Args:
            network: Maps images [N, C, H, W] to a mapping from task to output.
            tasks: The tasks to train, with their weights.
        """
        self._network = network
        self._tasks = tuple(tasks)

    @property
    def module(self) -> nn.Module:
        """Return the network."""
        return self._network

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Return one group with all parameters; of single-task networks one for each, as its gradient is its own."""
        whole = self._network
        alone = whole.networks.values() if isinstance(whole, SingleTaskNetworks) else [whole]
        return [ParameterGroup("weights", list(own.parameters())) for own in alone]

    def loss(self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor]) -> Loss:
        """Return the weighted sum of the mean losses of the tasks."""
        losses = task_losses(self._tasks, network(images), targets)
        total = torch.stack([task.weight * losses[task.name] for task in self._tasks]).sum()
        return Loss(total, {f"loss/{name}": value for name, value in losses.items()})

    def before_step(self, progress: float) -> None:
        """Do nothing: there is no schedule."""

    def epoch_values(self) -> Mapping[str, float]:
        """Return nothing further."""
        return {}

    def state_tensors(self) -> dict[str, Tensor]:
        """Return nothing: all state is in the module."""
        return {}

    def load_state_tensors(self, state: Mapping[str, Tensor]) -> None:
        """Do nothing."""


def task_losses(
    tasks: Sequence[Task], outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the mean loss of each task.

    Args:
        tasks: The tasks.
        outputs: Task to output [N, ...].
        targets: Task to target [N, ...].
    """
    return {task.name: task.loss(outputs[task.name], targets[task.name]) for task in tasks}
