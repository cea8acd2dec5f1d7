"""One training of one network from its entry: done once, resumable, with its scores beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from torch import nn

from sfg_nas.config import UNSCALED, RetrainConfig
from sfg_nas.cost import count_params
from sfg_nas.data import PREPARATION_FILE, Preparation
from sfg_nas.errors import ConfigError, enough_memory, explain, within
from sfg_nas.study.networks import macs_of
from sfg_nas.study.retrain_entries import Entry
from sfg_nas.study.settings import training_settings
from sfg_nas.study.stored import read_metrics
from sfg_nas.study.study import Study
from sfg_nas.study.table import SINGLE_TASK
from sfg_nas.tasks import mean_quality
from sfg_nas.training import (
    SCORE,
    TORCHJD,
    DistilledMethod,
    History,
    Method,
    Settings,
    SupervisedMethod,
    defined_scores,
    derive_seed,
    evaluate,
    fenced_random_state,
    fit,
    goes_on,
    make_fabric,
    remove_leftovers,
    save_module,
    weighted,
    write_json,
    write_rows,
)

VARIANT_KEYS = ("trial", "teacher_weight", "teacher_temperature", "patience", "precision")
"""What a training may do differently; a record without one of these did not."""
_KEYS = ("method", "name", "seed", "epochs", "learning_rate", "init", *VARIANT_KEYS)


@dataclass(frozen=True)
class TrainingJob:
    """One training: a network with one seed, and where its files lie.

    Attributes:
        study: The study.
        how: Its section on retraining, or what stands in its place.
        entry: The network.
        seed: Number of the training, from 0.
        folder: Where its files lie.
        stage: What it is for. `retrain` opens the test part and keeps the network; `finals` does neither, and has
            weights and orders of images of its own.

    Raises:
        ConfigError: If gradients are to be aggregated under a precision that scales them.
    """

    study: Study
    how: RetrainConfig
    entry: Entry
    seed: int
    folder: Path
    stage: Literal["retrain", "finals"] = "retrain"

    def __post_init__(self) -> None:
        weighting = self.study.config.training.weighting
        if weighting.startswith(TORCHJD) and self.precision == "16-mixed":
            found, do = f"training.weighting {weighting}", "take 32 or bf16-mixed"
            raise ConfigError(explain(where="retrain.precision", rule=UNSCALED, found=found, do=do))

    @property
    def settings(self) -> Settings:
        """Return what the loop needs; the default's are as they ever were, so that old checkpoints go on."""
        config = self.study.config
        plain = training_settings(
            config.training,
            config.data.augment,
            epochs=self.how.epochs,
            learning_rate=self.how.learning_rate,
        )
        differences = {key: value for key, value in self._variant().items() if key != "patience"}
        return replace(
            plain,
            patience=self.how.patience,
            keep_best=True,
            variant=json.dumps(differences, sort_keys=True) if differences else "",
        )

    @property
    def metrics(self) -> Path:
        """Return the file with the scores, which says that the training is done."""
        return self.folder / "metrics.json"

    @property
    def checkpoint(self) -> Path:
        """Return the file that is there while it trains."""
        return self.folder / "checkpoint.safetensors"

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the parts of the data that it is scored on."""
        return ("validation", "test") if self.stage == "retrain" else ("validation",)

    @property
    def precision(self) -> str:
        """Return the precision of the arithmetic, in Lightning Fabric's words."""
        return self.how.precision or self.study.config.training.precision

    def identity(self) -> dict[str, object]:
        """Return what must agree for a stored training to stand for an asked one."""
        settings = self.settings
        return {
            "method": self.entry.method,
            "name": self.entry.folder,
            "seed": self.seed,
            "epochs": settings.epochs,
            "learning_rate": settings.learning_rate,
            "init": self.entry.origin,
            **self._variant(),
        }

    def _variant(self) -> dict[str, object]:
        distillation = self.entry.distillation
        own = {
            "trial": self.entry.trial,
            "teacher_weight": distillation.weight if distillation else None,
            "teacher_temperature": distillation.temperature if distillation else None,
            "patience": self.how.patience,
            "precision": None
            if self.precision == self.study.config.training.precision
            else self.precision,
        }
        return {key: value for key, value in own.items() if value is not None}

    def is_done(self) -> bool:
        """Return whether this very training is on disk already."""
        if not self.metrics.exists():
            return False
        stored, identity = read_metrics(self.metrics, parts=self.parts), self.identity()
        # Without them the last epoch was kept, or one for all single-task networks.
        alone = self.entry.method == SINGLE_TASK
        kept = ("best_epochs" if alone else "best_epoch") in stored
        return kept and all(stored.get(key) == identity.get(key) for key in _KEYS)

    def score(self, network: nn.Module) -> dict[str, float]:
        """Return the metrics on validation and what early stopping looks at, higher being better.

        That is the mean over the tasks of the accuracy, or of 1 less the absolute error in spreads of the target; with
        single-task networks also that of each.
        """
        tasks = self.study.tasks
        values = evaluate(network, self.study.data.validation, tasks)
        row = {f"validation/{name}": value for name, value in values.items()}
        if self.entry.method == SINGLE_TASK:
            row |= {f"{SCORE}/{task.name}": mean_quality(values, [task]) for task in tasks}
        return row | {SCORE: mean_quality(values, tasks)}

    def describe(self) -> None:
        """Write beside a found network what it needs to be used on other images."""
        if self.entry.architecture is not None:
            preparation = Preparation.of(self.study.data)
            write_json(self.folder / PREPARATION_FILE, preparation.to_json())

    def forget_other(self) -> None:
        """Remove a checkpoint of other settings, where these may change and nobody asks for the old ones again.

        Raises:
            TrainingError: If the checkpoint is damaged.
        """
        path, train = self.checkpoint, self.study.data.train
        if path.exists() and not goes_on(path, train, self.settings, seed=self._data_seed):
            path.unlink()

    @property
    def _root(self) -> int:
        return derive_seed(self.study.config.search.seed, self.stage, self.seed)

    @property
    def _data_seed(self) -> int:
        return derive_seed(self._root, "data")

    @enough_memory("training")
    def train(self, device: str, on_epoch: Callable[[History], None]) -> None:
        """Train the network, or the rest of it, unless that is done.

        Args:
            device: Where to train.
            on_epoch: Called after each epoch.

        Raises:
            TrainingError: If a loss or a score is not finite.
            OutOfMemoryError: If there is too little memory.
        """
        if self.is_done():
            self.checkpoint.unlink(missing_ok=True)  # of a process that was killed before it did so
            if self.stage == "retrain" and not (self.folder / PREPARATION_FILE).exists():
                self.describe()
            return
        remove_leftovers(self.folder)
        start = time.perf_counter()
        weights_seed = derive_seed(self._root, "weights")
        with fenced_random_state(weights_seed):
            network = self.entry.make(weights_seed)

        def keep(history: History) -> None:
            write_rows(self.folder / "metrics.csv", history.rows)
            on_epoch(history)

        history = fit(
            self._method(network),
            self.study.data.train,
            self.settings,
            fabric=make_fabric(device, precision=self.precision),
            seed=self._data_seed,
            validate=lambda: self.score(network),
            checkpoint=self.checkpoint,
            on_epoch=keep,
        )
        self._write(network, history, start)
        self.checkpoint.unlink(missing_ok=True)

    def _method(self, network: nn.Module) -> Method:
        entry = self.entry
        if entry.make_teacher is None or entry.distillation is None:
            weighting = self.study.config.training.weighting
            alone = entry.method == SINGLE_TASK  # its networks share nothing to weigh against
            plain = SupervisedMethod(network, entry.tasks)
            return plain if alone else weighted(plain, entry.tasks, weighting)
        return DistilledMethod(network, entry.tasks, entry.make_teacher(), entry.distillation)

    def _write(self, network: nn.Module, history: History, start: float) -> None:
        """Leave the network's files, its metrics last: they say that the training is done."""
        study, data = self.study, self.study.data
        if self.stage == "retrain":
            save_module(self.folder / "network.safetensors", network)
            if self.entry.architecture is not None:
                self.entry.architecture.save(self.folder / "architecture.json")
            self.describe()
        parts = {"validation": data.validation, "test": data.test}
        scores: dict[str, dict[str, float]] = {}
        for part in self.parts:
            with within(f"after training, on the {part} part"):
                scores[part] = defined_scores(network, parts[part], study.tasks)
        content = {
            **self.identity(),
            "macs": macs_of(network, study),
            "params": count_params(network),
            "training_seconds": sum(row["seconds"] for row in history.rows),
            **scores,
            "seconds": time.perf_counter() - start,
            "epochs_trained": len(history.rows),
            "best_epoch": history.best_epoch,
            "best_epochs": history.best_epochs,
        }
        write_json(self.metrics, content)
