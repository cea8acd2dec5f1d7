"""The numbers of a training run, checked, and the learning rate at each of its steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sfg_nas.errors import ConfigError, explain

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to train: everything but the network, the loss and the data.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images in a step, over all devices together.
        optimizer: One of `OPTIMIZERS`.
        learning_rate: At the peak of the schedule; a parameter group may set its own.
        weight_decay: As the optimiser understands it; a parameter group may set its own.
        momentum: Only for `sgd`.
        schedule: One of `SCHEDULES`; `cosine` ends at zero.
        warmup_epochs: Epochs in which the rate rises linearly from zero; may be a fraction.
        clip: Greatest norm of the gradient, or None.
        augment: Names of augmentations that the image set knows.
        patience: Stop after this many epochs in a row without a better validation score; None never stops.
        keep_best: End with the weights of the epoch with the best validation score instead of the last one's.
        variant: What else the run depends on, such as its teacher; a checkpoint of another one is not gone on from.
    """

    epochs: int
    batch_size: int
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: str = "constant"
    warmup_epochs: float = 0.0
    clip: float | None = None
    augment: tuple[str, ...] = ()
    patience: int | None = None
    keep_best: bool = False
    variant: str = ""

    def __post_init__(self) -> None:
        checks = (
            ("epochs", self.epochs >= 1, "`epochs >= 1` must hold"),
            ("batch_size", self.batch_size >= 1, "`batch_size >= 1` must hold"),
            (
                "optimizer",
                self.optimizer in OPTIMIZERS,
                f"one of {', '.join(OPTIMIZERS)} is needed",
            ),
            ("learning_rate", 0 < self.learning_rate < math.inf, "`learning_rate > 0` must hold"),
            ("weight_decay", self.weight_decay >= 0, "`weight_decay >= 0` must hold"),
            ("schedule", self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)} is needed"),
            (
                "warmup_epochs",
                0 <= self.warmup_epochs <= self.epochs,
                "`0 <= warmup_epochs <= epochs` must hold",
            ),
            ("clip", self.clip is None or self.clip > 0, "`clip > 0` must hold"),
            ("patience", self.patience is None or self.patience >= 1, "`patience >= 1` must hold"),
        )
        for name, holds, rule in checks:
            if not holds:
                found = f"{name}={getattr(self, name)!r}"
                where = f"training.{name}"
                raise ConfigError(explain(where=where, rule=rule, found=found, do="change it"))


def learning_rate_factor(settings: Settings, step: int, steps_per_epoch: int) -> float:
    """Return what the learning rates are multiplied with at a step, in [0, 1].

    Args:
        settings: Schedule, warm-up and epochs.
        step: Steps already taken, from 0.
        steps_per_epoch: Steps in one epoch.
    """
    warmup = settings.warmup_epochs * steps_per_epoch
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if settings.schedule == "constant":
        return 1.0
    total = settings.epochs * steps_per_epoch
    progress = (step - warmup) / max(total - warmup, 1)
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
