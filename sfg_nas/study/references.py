"""The networks that trials are measured against: trained once per study, kept with their values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from sfg_nas.baselines import single_task
from sfg_nas.cost import count_params
from sfg_nas.errors import ConfigError, enough_memory, explain, within
from sfg_nas.study.courier import Courier
from sfg_nas.study.hard_curve import (
    HardSharingCurve,
    HardSharingPoint,
    are_points,
    check_curve,
    curve_factors,
    curve_of,
)
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.locks import FileLocks, Locks
from sfg_nas.study.networks import hard_network, macs_of, scaled_by
from sfg_nas.study.settings import training_settings
from sfg_nas.study.stored import are_numbers, is_count, read_object
from sfg_nas.study.study import Study
from sfg_nas.tasks import Task, check_references, relative_gain
from sfg_nas.training import (
    History,
    Method,
    SupervisedMethod,
    defined_scores,
    derive_seed,
    fenced_random_state,
    fit,
    make_fabric,
    recalibrate_norms,
    remove_leftovers,
    weighted,
    write_json,
    write_rows,
)

CHECKPOINT = "checkpoint.safetensors"

OnReferenceEpoch = Callable[[History, int, int], None]
"""Called after each epoch with the training's history, the trainings that are done, and how many there are."""


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
        hard_sharing: Its Δ at any cost, if the study asks for the advantage over it.
    """

    values: dict[str, float]
    epochs: int
    seed: int
    macs: int
    params: int
    hard_sharing_macs: int
    hard_sharing_params: int
    hard_sharing: HardSharingCurve | None = None

    def delta(self, values: dict[str, float], tasks: tuple[Task, ...]) -> float:
        """Return Δ, the mean relative gain over the single-task networks; positive is better.

        Args:
            values: Metrics on validation.
            tasks: The tasks of the study.
        """
        return relative_gain(values, self.values, tasks)

    def advantage(self, delta: float, macs: float) -> float:
        """Return how much more Δ a network has than hard sharing of the same cost.

        Args:
            delta: Of the network.
            macs: Its multiply-accumulates for one image.

        Raises:
            ConfigError: If hard sharing was not trained, as the study's objectives do not hold `advantage`.
        """
        if self.hard_sharing is None:
            rule, do = "`advantage` needs hard sharing's Δ", "name it in search.objectives"
            where = "references"
            raise ConfigError(explain(where=where, rule=rule, found="it was not trained", do=do))
        return delta - self.hard_sharing.delta(macs)

    def to_json(self) -> dict[str, object]:
        """Return the content of `references.json`."""
        content = dict(vars(self))
        if self.hard_sharing is None:
            del content["hard_sharing"]
        else:
            content["hard_sharing"] = self.hard_sharing.to_json()
        return content


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
        what="scores of the networks that trials are measured against",
        keys={
            "values": are_numbers,
            **dict.fromkeys(counts, is_count),
            "hard_sharing": are_points,
        },
        optional=("hard_sharing",),
    )
    curve = curve_of(stored.pop("hard_sharing", []))
    return References(**stored, hard_sharing=curve)  # type: ignore[arg-type]


def ensure_references(
    study: Study,
    files: RunFiles,
    *,
    device: str,
    on_epoch: OnReferenceEpoch | None = None,
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
        ConfigError: If hard sharing costs the same at all widths that the study names.
        TrainingError: If a loss or a score is not finite, or Δ is not defined, as a score is 0.
        OutOfMemoryError: If there is too little memory.
    """
    with (locks or FileLocks(files.lock("references").parent)).hold("references"):
        if courier is not None:
            courier.fetch(files.references)
        stored = load_references(files)
        if stored is not None:
            check_references(stored.values, study.tasks)
            return stored
        remove_leftovers(files.root, files.references.name)
        references = _Trainings(study, files.reference_work, device, on_epoch).run()
        write_json(files.references, references.to_json())
        if courier is not None:
            courier.send(files.references)
        for checkpoint in files.reference_work.rglob(CHECKPOINT):
            checkpoint.unlink()
        return references


@dataclass
class _Trainings:
    """Trains what is needed, one network after the other; a finished one's checkpoint gives it back at once."""

    study: Study
    folder: Path
    device: str
    on_epoch: OnReferenceEpoch | None
    done: int = 0

    @enough_memory("references")
    def run(self) -> References:
        study, config = self.study, self.study.config
        factors = check_curve(study)
        # The weights of tasks are for tasks that compete; alone, each has its own.
        tasks = tuple(replace(task, weight=1.0) for task in study.tasks)
        seed = derive_seed(config.search.seed, "references")
        with fenced_random_state(seed):
            network = single_task(
                lambda: study.make_backbone(config.backbone), tasks, study.data.image_shape
            )
        shared = hard_network(study, config.backbone, seed=seed)
        with within("references: single-task networks"):
            values = self._fit(SupervisedMethod(network, tasks), network, self.folder, seed)
        check_references(values, study.tasks)  # no trial could be scored against them
        found = References(
            values=values,
            epochs=config.references.epochs or config.training.epochs,
            seed=seed,
            macs=macs_of(network, study),
            params=count_params(network),
            hard_sharing_macs=macs_of(shared, study),
            hard_sharing_params=count_params(shared),
        )
        points = [
            self._point(found, factor, number)
            for number in range(config.references.seeds if factors else 0)
            for factor in factors
        ]
        return replace(found, hard_sharing=HardSharingCurve(tuple(points)) if points else None)

    @property
    def total(self) -> int:
        section = self.study.config.references
        return 1 + section.seeds * len(curve_factors(self.study))

    def _point(self, found: References, factor: float, number: int) -> HardSharingPoint:
        study = self.study
        seed = derive_seed(found.seed, "hard-sharing", number)  # all widths see one order of images
        network = hard_network(study, scaled_by(study.config.backbone, factor), seed=seed)
        folder = self.folder / f"hard-sharing-{factor:g}-{number}"
        plain = SupervisedMethod(network, study.tasks)
        method = weighted(plain, study.tasks, study.config.training.weighting)
        with within(f"references: hard sharing at {factor:g} of the width, training {number}"):
            values = self._fit(method, network, folder, seed)
        delta = found.delta(values, study.tasks)
        return HardSharingPoint(factor, number, macs_of(network, study), delta, values)

    def _fit(self, method: Method, network: nn.Module, folder: Path, seed: int) -> dict[str, float]:
        config, data = self.study.config, self.study.data
        remove_leftovers(folder)

        def keep(history: History) -> None:
            write_rows(folder / "metrics.csv", history.rows)
            if self.on_epoch is not None:
                self.on_epoch(history, self.done, self.total)

        fit(
            method,
            data.train,
            training_settings(
                config.training, config.data.augment, epochs=config.references.epochs
            ),
            fabric=make_fabric(self.device, precision=config.training.precision),
            seed=seed,
            checkpoint=folder / CHECKPOINT,
            on_epoch=keep,
        )
        recalibrate_norms(network, data.train, seed=seed)
        self.done += 1
        with within("after the last epoch"):
            return defined_scores(network, data.validation, self.study.tasks)
