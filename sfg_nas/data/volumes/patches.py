"""Patches of volumes: drawn at random for training, laid side by side for scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sfg_nas.data.checks import check_integer, check_name
from sfg_nas.data.images import Batch
from sfg_nas.data.volumes.augment import DRAWS, VOLUME_AUGMENTATIONS
from sfg_nas.data.volumes.store import StoredSubject
from sfg_nas.data.volumes.tiles import Tile, tiles, window
from sfg_nas.errors import ConfigError, explain

CT, ORGANS = "ct", "organs"
"""Names of the two tasks."""

_ORDER, _AUGMENT = 0, 1
_CANDIDATES = 20_000
"""Voxels of each organ of a subject that patches are drawn around, chosen once."""

Place = tuple[int, Tile]
"""A subject and a window of its volume."""


@dataclass(frozen=True, eq=False)
class Patches:
    """One part of a data set of volumes.

    With a seed, an epoch is `count` patches: the subjects in turn, around voxels of its organs and of the rest of its
    body, each as often as the others however small it is. Without a seed, or without a count, it is all windows that
    cover the subjects' bodies, and each voxel has its labels in one of them only.

    Attributes:
        subjects: The subjects.
        patch: Size of a patch in voxels, `[X, Y]` of one slice or `[X, Y, Z]`.
        organs: Names with their numbers in the label maps; the class of one is its place here, from 1.
        tasks: Names of the tasks whose targets batches hold.
        count: Patches of an epoch, or None.
        margin: Voxels at a window's border that a neighbour counts, see `tiles`.
    """

    subjects: tuple[StoredSubject, ...]
    patch: tuple[int, ...]
    organs: Mapping[str, int]
    tasks: tuple[str, ...] = (CT, ORGANS)
    count: int | None = None
    margin: int = 0
    mean: tuple[float, ...] = field(default=(0.0,), init=False)
    std: tuple[float, ...] = field(default=(1.0,), init=False)
    pixel_type: str = field(default="float32", init=False)

    def __len__(self) -> int:
        return len(self._tiles) if self.count is None else self.count

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Give the shape of one patch, `(1, X, Y)` or `(1, X, Y, Z)`."""
        return (1, *self.patch)

    @property
    def size(self) -> tuple[int, ...]:
        """Give the size of a patch along all three axes."""
        return (*self.patch, 1)[:3]

    def keep(self, tasks: Sequence[str]) -> Self:
        """Return the part with the targets of these tasks only."""
        return replace(self, tasks=tuple(tasks))

    def subjects_with(self, task: str) -> int:
        """Return how many subjects have labels of a task."""
        return sum(_LABELS[task](subject) is not None for subject in self.subjects)

    def warnings(self) -> list[str]:
        """Return a warning if there are label maps, and none of them holds some of the organs."""
        maps = [subject.labels for subject in self.subjects if subject.labels is not None]
        absent = [
            f"{name} ({number})"
            for name, number in self.organs.items()
            if maps and not any((labels == number).any() for labels in maps)
        ]
        where = "no label map of the training part holds"
        return [f"{where} {', '.join(absent)}, which is not learned"] if absent else []

    @cached_property
    def _tiles(self) -> tuple[Place, ...]:
        return tuple(
            (number, tile)
            for number, subject in enumerate(self.subjects)
            for tile in tiles(subject.mr.shape, self.size, self.margin)
            if self._insides[number][tile.own].any()
        )

    @cached_property
    def _centres(self) -> tuple[tuple[NDArray[np.int64], ...], ...]:
        """Give for each subject the flat places of the rest of its body and of each organ that it has."""
        return tuple(_centres(subject, self.organs) for subject in self.subjects)

    def _inside(self, subject: StoredSubject) -> NDArray[np.bool_]:
        if subject.labels is None:
            return subject.body
        return subject.body | np.isin(subject.labels, list(self.organs.values()))

    def batches(
        self,
        batch_size: int,
        *,
        seed: int | None = None,
        epoch: int = 0,
        augment: Sequence[str] | None = None,
        device: torch.device | str = "cpu",
        drop_last: bool = False,
    ) -> Iterator[Batch]:
        """Return the batches of one epoch.

        Which patches and how they are changed depends on `(seed, epoch)` only; the batch size does not change what
        happens to a patch at a given place.

        Args:
            batch_size: Patches in a batch; the last may be smaller.
            seed: Seed of patches and augmentation; None gives the windows that cover the subjects.
            epoch: Number of the epoch.
            augment: Names out of `VOLUME_AUGMENTATIONS`, applied in this order.
            device: Where the batches go.
            drop_last: Leave out a last batch that is smaller.

        Returns:
            An iterator of patches `[B, 1, *patch]`, float32, and for each task its labels: `ct` `[B, 2, *patch]` (HU and
            the organ's place from 0, -1 elsewhere) and `organs` `[B, *patch]` (classes), NaN and -1 where missing.

        Raises:
            ConfigError: If a number is impossible, an augmentation is unknown, or one is asked for without a seed.
        """
        check_integer("batches: batch_size", batch_size, 1)
        check_integer("batches: epoch", epoch, 0)
        changes = list(augment or ())
        self.check_augment(changes)
        if seed is None and changes:
            rule, do = "augmentation needs a seed", "pass seed=0, or no augmentation"
            found = f"augment={changes}, seed=None"
            raise ConfigError(explain(where="batches: augment", rule=rule, found=found, do=do))
        places: Sequence[Place] = self._tiles
        if seed is not None:
            check_integer("batches: seed", seed, 0)
            rng = np.random.default_rng([seed, epoch, _ORDER])
            drawn = self._draw(rng) if self.count is not None else self._tiles
            places = [drawn[i] for i in rng.permutation(len(drawn))]
        kept = len(places) - len(places) % batch_size if drop_last else len(places)
        draws = [
            np.random.default_rng([seed or 0, epoch, _AUGMENT, position]).random(
                (len(places), DRAWS), dtype=np.float32
            )
            for position in range(len(changes))
        ]
        return self._iterate(places[:kept], batch_size, changes, draws, device)

    def check_augment(self, names: Sequence[str], where: str = "batches: augment") -> None:
        """Refuse augmentations that volumes do not have.

        Args:
            names: In any order.
            where: For the message.

        Raises:
            ConfigError: If there is one.
        """
        for name in names:
            check_name(where, name, VOLUME_AUGMENTATIONS)

    def _draw(self, rng: np.random.Generator) -> list[Place]:
        places = []
        for position in range(self.count or 0):
            number = position % len(self.subjects)
            subject, organs = self.subjects[number], self._centres[number]
            around = organs[rng.integers(len(organs))]
            centre = np.unravel_index(around[rng.integers(len(around))], subject.mr.shape)
            start = []
            for middle, side, length in zip(centre, self.size, subject.mr.shape, strict=True):
                first = int(middle) - side // 2 + int(rng.integers(-(side // 4), side // 4 + 1))
                room = length - side
                start.append(min(max(first, 0), room) if room > 0 else -((side - length) // 2))
            whole = tuple((0, length) for length in subject.mr.shape)
            places.append((number, Tile(tuple(start), whole)))
        return places

    def _iterate(
        self,
        places: Sequence[Place],
        batch_size: int,
        changes: Sequence[str],
        draws: Sequence[NDArray[np.float32]],
        device: torch.device | str,
    ) -> Iterator[Batch]:
        for first in range(0, len(places), batch_size):
            chosen = places[first : first + batch_size]
            images = torch.stack([self._image(*place) for place in chosen])
            maps = {
                task: torch.stack([_TARGETS[task](self, *place) for place in chosen])
                for task in self.tasks
            }
            for name, drawn in zip(changes, draws, strict=True):
                own = torch.from_numpy(drawn[first : first + batch_size])
                images, maps = VOLUME_AUGMENTATIONS[name](images, maps, own)
            if images.dim() == 4:  # convolutions follow this layout, as with photos
                images = images.contiguous(memory_format=torch.channels_last)
            yield images.to(device), {task: values.to(device) for task, values in maps.items()}

    def _image(self, number: int, tile: Tile) -> Tensor:
        mr = self.subjects[number].mr
        fill = self._fills[number] if _beyond(tile.start, self.size, mr.shape) else 0.0
        return torch.from_numpy(window(mr, tile.start, self.size, fill)).view(1, *self.patch)

    def _counted(self, number: int, tile: Tile) -> NDArray[np.bool_]:
        """Return which voxels of a window have labels there: inside the body and the window's own."""
        inside = window(self._insides[number], tile.start, self.size, 0.0).astype(np.bool_)
        for axis, ((low, high), start) in enumerate(zip(tile.core, tile.start, strict=True)):
            own = np.zeros(self.size[axis], dtype=np.bool_)
            own[max(low - start, 0) : max(high - start, 0)] = True
            inside = inside & own.reshape([-1 if a == axis else 1 for a in range(3)])
        return inside

    @cached_property
    def _fills(self) -> tuple[float, ...]:
        """Give for each subject the value of what lies outside its body, which is that of a prediction's border, too."""
        return tuple(float(subject.mr.min()) for subject in self.subjects)

    @cached_property
    def _insides(self) -> tuple[NDArray[np.bool_], ...]:
        return tuple(self._inside(subject) for subject in self.subjects)

    def _classes(self, number: int, tile: Tile) -> Tensor:
        """Return the class of each voxel of a window, -1 where it is missing, `[*patch]`."""
        labels = self.subjects[number].labels
        if labels is None:
            return torch.full(self.patch, -1, dtype=torch.int64)
        found = window(labels, tile.start, self.size, 0.0)
        classes = np.zeros(self.size, dtype=np.int64)
        for place, value in enumerate(self.organs.values(), start=1):
            classes[found == value] = place
        classes[~self._counted(number, tile)] = -1
        return torch.from_numpy(classes).view(self.patch)

    def _attenuation(self, number: int, tile: Tile) -> Tensor:
        """Return HU and organs of a window, `[2, *patch]`."""
        region = (self._classes(number, tile) - 1).clamp(min=-1).float()
        ct = self.subjects[number].ct
        if ct is None:
            values = torch.full(self.patch, math.nan)
        else:
            found = window(ct, tile.start, self.size, math.nan)
            found[~self._counted(number, tile)] = math.nan
            values = torch.from_numpy(found).view(self.patch)
        return torch.stack([values, region])


_LABELS: Mapping[str, Callable[[StoredSubject], object]] = {
    CT: lambda subject: subject.ct,
    ORGANS: lambda subject: subject.labels,
}
_TARGETS: Mapping[str, Callable[[Patches, int, Tile], Tensor]] = {
    CT: Patches._attenuation,
    ORGANS: Patches._classes,
}


def _beyond(start: Sequence[int], size: Sequence[int], shape: Sequence[int]) -> bool:
    return any(
        first < 0 or first + side > length
        for first, side, length in zip(start, size, shape, strict=True)
    )


def _centres(subject: StoredSubject, organs: Mapping[str, int]) -> tuple[NDArray[np.int64], ...]:
    rng = np.random.default_rng(
        0
    )  # of the choice among very many voxels; batches have seeds of their own
    rest = np.array(subject.body)
    found = []
    if subject.labels is not None:
        for value in organs.values():
            own = subject.labels == value
            rest &= ~own
            found.append(np.flatnonzero(own))
    found.insert(0, np.flatnonzero(rest))
    return tuple(
        places if len(places) <= _CANDIDATES else rng.choice(places, _CANDIDATES, replace=False)
        for places in found
        if len(places)
    )
