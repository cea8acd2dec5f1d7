"""Scores over a whole image set, each metric computed once over all examples, never a mean of batches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from sfg_nas.data import Examples
from sfg_nas.errors import TrainingError, enough_memory, explain
from sfg_nas.tasks import Task

_IMAGES = 256
_POSITIONS = 2**23
_LESS = "take smaller images, a narrower network, or a --device with more memory"


@enough_memory("evaluation", _LESS)
def evaluate(
    network: nn.Module, images: Examples, tasks: Sequence[Task], *, batch_size: int | None = None
) -> dict[str, float]:
    """Return each metric of each task, such as `{"age/mae": 6.0, "gender/accuracy": 0.92}`.

    The network is put into eval mode for this and back afterwards.

    Args:
        network: Maps images [N, C, H, W] to a mapping from task to output.
        images: All of them are scored.
        tasks: The tasks to score.
        batch_size: Images at once, see `at_once`; it does not change the result.

    Returns:
        What is not defined is NaN, such as the Dice coefficient of a class that is neither there nor predicted.

    Raises:
        TrainingError: If an output is not finite, or a metric is infinite.
        OutOfMemoryError: If there is too little memory.
    """
    outputs: dict[str, list[Tensor]] = {task.name: [] for task in tasks}
    targets: dict[str, list[Tensor]] = {task.name: [] for task in tasks}
    tallies: dict[str, Tensor] = {}
    for found, wanted in each_batch(network, images, tasks, batch_size=batch_size):
        for task in tasks:
            output, target = found[task.name], wanted[task.name]
            if not bool(torch.isfinite(output).all()):
                raise _not_finite(task, "every output must be finite", "NaN or infinity")
            if task.dense:  # maps of a whole image set need not fit into memory
                own = task.tally(output, target)
                tallies[task.name] = tallies[task.name] + own if task.name in tallies else own
            else:
                outputs[task.name].append(output)
                targets[task.name].append(target)
    values: dict[str, float] = {}
    for task in tasks:
        if task.dense:
            scores = task.conclude(tallies[task.name])
        else:
            scores = task.evaluate(torch.cat(outputs[task.name]), torch.cat(targets[task.name]))
        for metric, score in scores.items():
            # of outputs that are finite, but too large to be squared or added
            if math.isinf(score):
                raise _not_finite(task, "every metric must be finite", f"{metric} = {score}")
            values[f"{task.name}/{metric}"] = float(score)
    return values


def defined_scores(
    network: nn.Module, images: Examples, tasks: Sequence[Task], *, batch_size: int | None = None
) -> dict[str, float]:
    """Return the metrics of `evaluate` that are defined, for files that hold numbers only.

    Args:
        network: As for `evaluate`.
        images: All of them are scored.
        tasks: The tasks to score.
        batch_size: Images at once, see `at_once`.

    Raises:
        TrainingError: If an output or a metric is not finite.
    """
    values = evaluate(network, images, tasks, batch_size=batch_size)
    return {name: value for name, value in values.items() if not math.isnan(value)}


def _not_finite(task: Task, rule: str, found: str) -> TrainingError:
    where = f"evaluation of task {task.name}"
    do = "lower the learning rate, set training.clip, or check this task's targets"
    return TrainingError(explain(where=where, rule=rule, found=found, do=do))


@enough_memory("prediction", _LESS)
def predict(
    network: nn.Module, images: Examples, tasks: Sequence[Task], *, batch_size: int | None = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return outputs and targets of all images, task by task, on the CPU.

    Args:
        network: Maps images [N, C, H, W] to a mapping from task to output.
        images: In order.
        tasks: The tasks to predict.
        batch_size: Images at once, see `at_once`.

    Raises:
        OutOfMemoryError: If there is too little memory.
    """
    outputs: dict[str, list[Tensor]] = {task.name: [] for task in tasks}
    targets: dict[str, list[Tensor]] = {task.name: [] for task in tasks}
    for found, wanted in each_batch(network, images, tasks, batch_size=batch_size):
        for name in outputs:
            outputs[name].append(found[name])
            targets[name].append(wanted[name])
    joined = {name: torch.cat(parts) for name, parts in outputs.items()}
    return joined, {name: torch.cat(parts) for name, parts in targets.items()}


def each_batch(
    network: nn.Module,
    images: Examples,
    tasks: Sequence[Task],
    *,
    batch_size: int | None = None,
) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Yield outputs and targets of each batch, task by task, on the CPU.

    Args:
        network: Maps images [N, C, *spatial] to a mapping from task to output; in eval mode meanwhile.
        images: In order.
        tasks: The tasks to predict.
        batch_size: Images at once, see `at_once`.
    """
    device, dtype = placement(network)
    training = network.training
    network.eval()
    try:
        for batch, labels in images.batches(batch_size or at_once(images), device=str(device)):
            with torch.no_grad():
                predicted: Mapping[str, Tensor] = network(batch.to(dtype))
            yield (
                {task.name: predicted[task.name].float().cpu() for task in tasks},
                {task.name: labels[task.name].cpu() for task in tasks},
            )
    finally:
        network.train(training)


def at_once(images: Examples) -> int:
    """Return how many images a network is given at once where no gradients are kept.

    256, or fewer where these are large: 2^23 pixels or voxels, which are 2 GiB in a layer of 64 channels at full size; two
    at least, as a batch norm of single numbers needs them. Neither the network nor the study's batch size changes it, so
    that all networks are measured alike.

    Args:
        images: Any part of a data set.
    """
    return max(2, min(_IMAGES, _POSITIONS // math.prod(images.image_shape[1:])))


def placement(network: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Return where a network lives and in which precision.

    Args:
        network: Any module; one without parameters counts as on the CPU.
    """
    parameter = next(network.parameters(), None)
    if parameter is None:
        return torch.device("cpu"), torch.get_default_dtype()
    return parameter.device, parameter.dtype
