"""The single-task networks that Δ is measured against: trained once per study, kept with their values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from torch import nn

from sfg_nas.baselines import hard_sharing, single_task
from sfg_nas.cost import count_macs, count_params
from sfg_nas.study.courier import Courier
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.locks import FileLocks, Locks
from sfg_nas.study.settings import training_settings
from sfg_nas.study.stored import are_numbers, is_count, read_object
from sfg_nas.study.study import Study
from sfg_nas.tasks import Task, relative_gain
from sfg_nas.training import (
    History,
    SupervisedMethod,
    derive_seed,
    evaluate,
    fenced_random_state,
    fit,
    make_fabric,
    recalibrate_norms,
    remove_leftovers,
    write_json,
    write_rows,
)

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class References:
    """What the study's candidates are measured against.

    Attributes:
        values: Metrics of the single-task networks on validation, such as `age/mae`.
        epochs: Epochs of their training.
        seed: Seed of their training.
        macs: Multiply-accumulates of all of them together, for one image.
        params: Parameters of all of them together.
        hard_sharing_macs: Multiply-accumulates of one network for all tasks with the study's own backbone.
        hard_sharing_params: Its parameters.
    """

    values: dict[str, float]
    epochs: int
    seed: int
    macs: int
    params: int
    hard_sharing_macs: int
    hard_sharing_params: int

    def delta(self, values: dict[str, float], tasks: tuple[Task, ...]) -> float:
        """Return Δ, the mean relative gain over the single-task networks; positive is better.

        Args:
            values: Metrics on validation.
            tasks: The tasks of the study.
        """
        return relative_gain(values, self.values, tasks)


def load_references(files: RunFiles) -> References | None:
    """Return the stored references, or None if they are not there yet.

    Args:
        files: The run's files.
    """
    if not files.references.exists():
        return None
    counts = ("epochs", "seed", "macs", "params", "hard_sharing_macs", "hard_sharing_params")
    stored = read_object(
        files.references,
        what="scores of single-task networks",
        keys={"values": are_numbers, **dict.fromkeys(counts, is_count)},
    )
    return References(**stored)  # type: ignore[arg-type]


def ensure_references(
    study: Study,
    files: RunFiles,
    *,
    device: str,
    on_epoch: Callable[[History], None] | None = None,
    locks: Locks | None = None,
    courier: Courier | None = None,
) -> References:
    """Return the references, training them first if they are not stored yet; resumable.

    Args:
        study: The study.
        files: The run's files.
        device: Where to train.
        on_epoch: Called after each epoch.
        locks: Of this worker; None for those of the run directory.
        courier: Brings the references of a worker elsewhere; None if there is none.

    Raises:
        TrainingError: If a loss is not finite.
    """
    with (locks or FileLocks(files.lock("references").parent)).hold("references"):
        if courier is not None:
            courier.fetch(files.references)
        stored = load_references(files)
        if stored is not None:
            return stored
        remove_leftovers(files.root, files.references.name)
        remove_leftovers(files.reference_work)
        references = _train(study, files, device, on_epoch)
        write_json(files.references, asdict(references))
        if courier is not None:
            courier.send(files.references)
        (files.reference_work / CHECKPOINT).unlink(missing_ok=True)
        return references


def _train(
    study: Study, files: RunFiles, device: str, on_epoch: Callable[[History], None] | None
) -> References:
    config = study.config
    seed = derive_seed(config.search.seed, "references")
    settings = training_settings(
        config.training, config.data.augment, epochs=config.references.epochs
    )
    # The weights of tasks are for tasks that compete; alone, each has its own.
    tasks = tuple(replace(task, weight=1.0) for task in study.tasks)
    with fenced_random_state(seed):
        network = single_task(lambda: study.make_backbone(config.backbone), tasks, _shape(study))
        shared = hard_sharing(lambda: study.make_backbone(config.backbone), tasks, _shape(study))

    def keep(history: History) -> None:
        write_rows(files.reference_work / "metrics.csv", history.rows)
        if on_epoch is not None:
            on_epoch(history)

    fit(
        SupervisedMethod(network, tasks),
        study.data.train,
        settings,
        fabric=make_fabric(device, precision=config.training.precision),
        seed=seed,
        checkpoint=files.reference_work / CHECKPOINT,
        on_epoch=keep,
    )
    recalibrate_norms(network, study.data.train, seed=seed)
    values = evaluate(network, study.data.validation, tasks)
    return References(
        values=values,
        epochs=settings.epochs,
        seed=seed,
        macs=macs_of(network, study),
        params=count_params(network),
        hard_sharing_macs=macs_of(shared, study),
        hard_sharing_params=count_params(shared),
    )


def _shape(study: Study) -> tuple[int, ...]:
    return study.data.image_shape


def macs_of(network: nn.Module, study: Study) -> int:
    """Return a network's multiply-accumulates for one image of the study.

    Args:
        network: Maps images to outputs.
        study: The study.
    """
    device = next(network.parameters()).device
    return count_macs(network, torch.zeros(1, *study.data.image_shape, device=device))
