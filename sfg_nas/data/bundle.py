"""A data set: its tasks and its three parts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from sfg_nas.data.checks import check_name
from sfg_nas.data.grey import Window
from sfg_nas.data.images import Examples, ImageSet
from sfg_nas.data.volume_settings import VolumeSettings
from sfg_nas.errors import ConfigError, explain
from sfg_nas.tasks import Encoding, Task


@dataclass(frozen=True, eq=False)
class DataBundle:
    """A data set with its three parts.

    Attributes:
        name: The name of the data set.
        tasks: The tasks; a regression's center and scale are measured on `train`.
        train: For weights and assignments.
        validation: For every choice.
        test: For the final report; nothing is chosen by it.
        fingerprint: SHA-256 of the content, the settings, the split and the labels.
        image_shape: The shape of one image, `(C, *spatial)`.
        warnings: What was left out or looks wrong, for a person to read.
        columns: Where the user's own table holds the images (under an empty name) and each task's labels.
        encodings: How the user's own label images are read, for each dense task of a table.
        volumes: How volumes are prepared, of a data set of volumes.
        window: The grey values that become black and white, of images with more than eight bits; None for the usual.
    """

    name: str
    tasks: tuple[Task, ...]
    train: Examples
    validation: Examples
    test: Examples
    fingerprint: str
    image_shape: tuple[int, ...]
    warnings: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    encodings: Mapping[str, Encoding] = field(default_factory=dict)
    volumes: VolumeSettings | None = None
    window: Window | None = None

    def with_tasks(
        self, weights: Mapping[str, float], likelihoods: Mapping[str, str] | None = None
    ) -> Self:
        """Return the data set with these tasks only, in this order, with these loss weights.

        Args:
            weights: The weight of each task to keep, by name.
            likelihoods: Those of some tasks in place of their own, by name.

        Raises:
            ConfigError: If a task is unknown, none is left, or a weight or likelihood is impossible.
        """
        known = {task.name: task for task in self.tasks}
        if not weights:
            check_name(f"{self.name}: tasks", "", known)
        kinds = likelihoods or {}
        chosen = [known[check_name(f"{self.name}: tasks", name, known)] for name in weights]
        tasks = tuple(
            replace(
                task,
                weight=weights[task.name],
                likelihood=kinds.get(task.name, task.likelihood),
            )
            for task in chosen
        )
        kept = tuple(weights)
        train, validation, test = (
            part.keep(kept) for part in (self.train, self.validation, self.test)
        )
        return replace(self, tasks=tasks, train=train, validation=validation, test=test)

    def whitened(self) -> Self:
        """Return the data set with each image normalised by itself, over all its channels and pixels.

        Raises:
            ConfigError: If the data set holds volumes, each of which is normalised within the body already.
        """
        train, validation, test = map(self._whitened, (self.train, self.validation, self.test))
        fingerprint = hashlib.sha256(f"{self.fingerprint} whitened".encode()).hexdigest()
        return replace(self, train=train, validation=validation, test=test, fingerprint=fingerprint)

    def _whitened(self, part: Examples) -> Examples:
        if isinstance(part, ImageSet):
            return replace(part, whitened=True)
        raise ConfigError(
            explain(
                where=f"{self.name}: normalisation",
                rule="only images can be normalised by themselves",
                found="volumes, which are normalised within the body already",
                do="leave `data.normalisation` out",
            )
        )
