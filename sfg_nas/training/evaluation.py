"""Scores over a whole image set, each metric computed once over all examples, never a mean of batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from sfg_nas.data import ImageSet
from sfg_nas.errors import TrainingError, explain
from sfg_nas.tasks import Task


def evaluate(
    network: nn.Module, images: ImageSet, tasks: Sequence[Task], *, batch_size: int = 256
) -> dict[str, float]:
    """Return each metric of each task, such as `{"age/mae": 6.0, "gender/accuracy": 0.92}`.

    The network is put into eval mode for this and back afterwards.

    Args:
        network: Maps images [N, C, H, W] to a mapping from task to output.
        images: All of them are scored.
        tasks: The tasks to score.
        batch_size: Images at once; it does not change the result.

    Raises:
        TrainingError: If an output is not finite.
    """
    outputs, targets = predict(network, images, tasks, batch_size=batch_size)
    values: dict[str, float] = {}
    for task in tasks:
        if not bool(torch.isfinite(outputs[task.name]).all()):
            raise TrainingError(
                explain(
                    where=f"evaluation of task {task.name}",
                    rule="every output must be finite",
                    found="NaN or infinity",
                    do="lower the learning rate or set training.clip",
                )
            )
        scores = task.evaluate(outputs[task.name], targets[task.name])
        values |= {f"{task.name}/{metric}": float(score) for metric, score in scores.items()}
    return values


def predict(
    network: nn.Module, images: ImageSet, tasks: Sequence[Task], *, batch_size: int = 256
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return outputs and targets of all images, task by task, on the CPU.

    Args:
        network: Maps images [N, C, H, W] to a mapping from task to output.
        images: In order.
        tasks: The tasks to predict.
        batch_size: Images at once.
    """
    device, dtype = placement(network)
    outputs: dict[str, list[Tensor]] = {task.name: [] for task in tasks}
    targets: dict[str, list[Tensor]] = {task.name: [] for task in tasks}
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            for batch, labels in images.batches(batch_size, device=str(device)):
                predicted: Mapping[str, Tensor] = network(batch.to(dtype))
                for name in outputs:
                    outputs[name].append(predicted[name].float().cpu())
                    targets[name].append(labels[name].cpu())
    finally:
        network.train(training)
    joined = {name: torch.cat(parts) for name, parts in outputs.items()}
    return joined, {name: torch.cat(parts) for name, parts in targets.items()}


def placement(network: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Return where a network lives and in which precision.

    Args:
        network: Any module; one without parameters counts as on the CPU.
    """
    parameter = next(network.parameters(), None)
    if parameter is None:
        return torch.device("cpu"), torch.get_default_dtype()
    return parameter.device, parameter.dtype
