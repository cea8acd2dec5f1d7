"""From the sections of a study to what the training loop and the supernet's method take."""

from __future__ import annotations

from collections.abc import Sequence

from sfg_nas.config import SharingConfig, StudyConfig, TrainingConfig
from sfg_nas.sharing import Temperature
from sfg_nas.training import SearchSettings, Settings


def training_settings(
    training: TrainingConfig,
    augment: Sequence[str],
    *,
    epochs: int | None = None,
    learning_rate: float | None = None,
) -> Settings:
    """Return what the loop needs from the study's training section.

    Args:
        training: The section.
        augment: Names of augmentations.
        epochs: Other epochs than the section's.
        learning_rate: Another rate than the section's.
    """
    epochs = epochs or training.epochs
    return Settings(
        epochs=epochs,
        batch_size=training.batch_size,
        optimizer=training.optimizer,
        learning_rate=learning_rate or training.learning_rate,
        weight_decay=training.weight_decay,
        schedule=training.schedule,
        warmup_epochs=warmup_within(training, epochs),
        clip=training.clip,
        augment=tuple(augment),
    )


def search_settings(config: StudyConfig, examples: int) -> SearchSettings:
    """Return what the supernet's method needs from a trial's configuration.

    Args:
        config: The configuration of a trial.
        examples: Training examples.
    """
    sharing = config.sharing
    shape, epochs = sharing.temperature, config.training.epochs
    return SearchSettings(
        temperature=Temperature(shape.shape, shape.start, shape.end, shape.rate),
        allocation_learning_rate=config.training.allocation_learning_rate,
        lambda1=sharing.lambda1,
        lambda2=sharing.lambda2,
        lambda3=sharing.lambda3,
        examples=examples,
        warmup=warmup_within(sharing, epochs) / epochs,
    )


def warmup_within(section: SharingConfig | TrainingConfig, epochs: int) -> float:
    """Return how many of some epochs are warm-up: the section's, but never all of them.

    A comparison may be shorter than the search that the warm-up was meant for.

    Args:
        section: Whose warm-up it is: that of the assignments, or of the learning rates.
        epochs: Of the training.
    """
    return section.warmup_epochs if section.warmup_epochs < epochs else epochs - 1
