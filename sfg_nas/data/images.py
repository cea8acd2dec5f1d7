"""Images with targets, and the batches of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sfg_nas.data.augment import AUGMENTATIONS, Augmentation
from sfg_nas.data.augmented import moved, unfit
from sfg_nas.data.checks import check_integer, check_name, check_share
from sfg_nas.errors import ConfigError, explain
from sfg_nas.tasks import Task

Batch = tuple[Tensor, dict[str, Tensor]]
Pixels = NDArray[np.uint8] | NDArray[np.float32]

_ORDER, _AUGMENT = 0, 1
_SINGLE = torch.finfo(torch.float32)


class Examples(Protocol):
    """One part of a data set: what training and scoring ask of it."""

    @property
    def mean(self) -> tuple[float, ...]:
        """Give what is subtracted from each channel."""

    @property
    def std(self) -> tuple[float, ...]:
        """Give what each channel is then divided by."""

    @property
    def pixel_type(self) -> str:
        """Name the type of the stored pixels."""

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Give the shape of one image, `(C, *spatial)`."""

    def __len__(self) -> int:
        """Count the images of an epoch."""

    def keep(self, tasks: Sequence[str]) -> Self:
        """Return the part with the targets of these tasks only."""

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
        """Return the batches of one epoch; what is random depends on `(seed, epoch)` only."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """One part of a data set: rows of an image array that may be shared with other parts.

    Attributes:
        images: All images, `[N, C, *spatial]`, uint8 or float32, often memory-mapped.
        indices: The rows that belong to this part, `[n]`.
        targets: For each task the labels of these rows, `[n]`: int64 classes (-1 = missing) or
            float32 numbers in the task's unit (NaN = missing).
        mean: Mean of each channel over the training part, in the units of `images`.
        std: Standard deviation of each channel, likewise.
        augmentations: The names of the augmentations that leave the labels true.
        tasks: Those whose targets lie on the pixels, and move with them.
        whitened: Whether each image is normalised by its own mean and deviation over all channels and
            pixels (per-image whitening) in place of `mean` and `std`.
    """

    images: Pixels
    indices: NDArray[np.int64]
    targets: Mapping[str, Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentations: tuple[str, ...] = tuple(AUGMENTATIONS)
    tasks: tuple[Task, ...] = ()
    whitened: bool = False

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Give the shape of one image, `(C, *spatial)`."""
        return tuple(self.images.shape[1:])

    @property
    def pixel_type(self) -> str:
        """Name the type of the stored pixels."""
        return str(self.images.dtype)

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

        The order and the augmentation depend on `(seed, epoch)` only, so an epoch can be run again
        bit for bit; the batch size does not change what happens to an image at a given place.

        Args:
            batch_size: Images in a batch; the last may be smaller.
            seed: Seed of order and augmentation; None keeps the stored order.
            epoch: Number of the epoch.
            augment: Names out of `AUGMENTATIONS`, applied in this order.
            device: Where the batches go. Pixels travel as they are stored, usually as uint8.
            drop_last: Leave out a last batch that is smaller.

        Returns:
            An iterator of images `[B, C, *spatial]`, float32, normalised to mean 0 and standard
            deviation 1 over the training part (each by itself if `whitened`), and for each task its labels `[B]`.

        Raises:
            ConfigError: If a number is impossible, an augmentation is unknown or would make labels
                of this data set wrong, or one is asked for without a seed.
        """
        check_integer("batches: batch_size", batch_size, 1)
        check_integer("batches: epoch", epoch, 0)
        count = len(self) - len(self) % batch_size if drop_last else len(self)
        if seed is None:
            if augment:
                raise ConfigError(
                    explain(
                        where="batches: augment",
                        rule="augmentation needs a seed",
                        found=f"augment={list(augment)}, seed=None",
                        do="pass seed=0, or no augmentation",
                    )
                )
            order = np.arange(len(self))
        else:
            check_integer("batches: seed", seed, 0)
            order = np.random.default_rng([seed, epoch, _ORDER]).permutation(len(self))
        plan = self._augmentation_plan(augment or (), seed or 0, epoch)
        return self._iterate(
            [order[i : i + batch_size] for i in range(0, count, batch_size)], plan, device
        )

    def _augmentation_plan(
        self, names: Sequence[str], seed: int, epoch: int
    ) -> list[tuple[Augmentation, Tensor]]:
        self.check_augment(names)
        plan = []
        for place, name in enumerate(names):
            rng = np.random.default_rng([seed, epoch, _AUGMENT, place])
            draws = AUGMENTATIONS[name].draw(rng, len(self), self.image_shape[1:])
            plan.append((AUGMENTATIONS[name], torch.from_numpy(draws)))
        return plan

    def check_augment(self, names: Sequence[str], where: str = "batches: augment") -> None:
        """Refuse augmentations that do not exist, do not fit the images, or would make labels wrong.

        Args:
            names: In any order.
            where: For the message.

        Raises:
            ConfigError: If there is one.
        """
        for name in names:
            check_name(where, name, AUGMENTATIONS)
            rule = unfit(name, self.image_shape, self.augmentations, self._moving())
            if rule:
                do = f"leave {name!r} out"
                raise ConfigError(explain(where=where, rule=rule, found=repr(name), do=do))

    def _moving(self) -> list[Task]:
        return [task for task in self.tasks if task.dense and task.name in self.targets]

    def _iterate(
        self,
        order: Sequence[NDArray[np.int64]],
        plan: Sequence[tuple[Augmentation, Tensor]],
        device: torch.device | str,
    ) -> Iterator[Batch]:
        shape = (1, -1, *[1] * (self.images.ndim - 2))
        mean = torch.tensor(self.mean, device=device).view(shape)
        factor = 1 / torch.tensor(self.std, device=device).view(shape)
        moving = self._moving()
        start = 0
        for places in order:
            pixels = torch.from_numpy(np.take(self.images, self.indices[places], axis=0)).to(device)
            at = torch.from_numpy(places)
            targets = {task: labels[at].to(device) for task, labels in self.targets.items()}
            for augmentation, draws in plan:
                chosen = draws[start : start + len(places)].to(device)
                pixels = augmentation.apply(pixels, chosen)
                for task in moving:
                    targets[task.name] = moved(
                        task, targets[task.name], augmentation, chosen, self.image_shape[1:]
                    )
            numbers = pixels.to(torch.float32)
            images = _whitened(numbers) if self.whitened else numbers.sub(mean).mul_(factor)
            if images.dim() == 4:  # convolutions follow this layout: a quarter less time on a CPU
                images = images.contiguous(memory_format=torch.channels_last)
            yield images, targets
            start += len(places)

    def keep(self, tasks: Sequence[str]) -> Self:
        """Return the part with the targets of these tasks only."""
        return replace(self, targets={task: self.targets[task] for task in tasks})

    def subset(self, fraction: float, seed: int = 0) -> Self:
        """Return a seeded part of this part; a smaller fraction lies within a larger one.

        Args:
            fraction: The share to keep, above 0 and at most 1; at least one image stays.
            seed: Seed of the choice.

        Raises:
            ConfigError: If the fraction is impossible.
        """
        check_share("subset: fraction", fraction, whole=True)
        kept = np.random.default_rng(seed).permutation(len(self))
        return self.take(np.sort(kept[: max(1, round(fraction * len(self)))]))

    def take(self, places: NDArray[np.int64]) -> Self:
        """Return the images at these places (positions within this part, not rows of `images`)."""
        at = torch.from_numpy(places)
        targets = {task: labels[at] for task, labels in self.targets.items()}
        return replace(self, indices=self.indices[places], targets=targets)


def _whitened(images: Tensor) -> Tensor:
    """Return images `[B, C, *spatial]`, each with mean 0 and deviation 1 over all its numbers; a plain one is 0."""
    axes = tuple(range(1, images.dim()))
    centred = images - images.mean(axes, keepdim=True)
    spread = centred.square().mean(axes, keepdim=True).sqrt()
    # Units are the user's: plain is what single precision does not tell from one value.
    least = (images.abs().amax(axes, keepdim=True) * _SINGLE.eps).clamp(min=_SINGLE.tiny)
    return torch.where(spread > least, centred.div_(spread.clamp(min=_SINGLE.tiny)), 0.0)
