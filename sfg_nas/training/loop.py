"""The one training loop, on Lightning Fabric: supernets, fixed networks and baselines all go through `fit`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from sfg_nas.data import Examples
from sfg_nas.errors import OutOfMemoryError, TrainingError, enough_memory, explain, within
from sfg_nas.training.best import Best
from sfg_nas.training.checkpoint import load_tensors, save_tensors, section
from sfg_nas.training.method import Method
from sfg_nas.training.seeds import derive_seed, fenced_random_state
from sfg_nas.training.settings import Settings, learning_rate_factor
from sfg_nas.training.state import TrainingState

Row = dict[str, float]


@dataclass(frozen=True)
class History:
    """What happened so far.

    Attributes:
        rows: One row of metrics for each finished epoch.
        best_epoch: The epoch (from 1) with the best score, or None without a score. Of single-task networks it is the
            last one in which any of them became better.
        stopped_early: Whether patience ran out.
        best_epochs: The best epoch of each score that was looked at: `score`, or those of single-task networks,
            `score/age`.
    """

    rows: tuple[Row, ...]
    best_epoch: int | None = None
    stopped_early: bool = False
    best_epochs: Mapping[str, int] = field(default_factory=dict)


@enough_memory("training")
def fit(
    method: Method,
    train: Examples,
    settings: Settings,
    *,
    fabric: Fabric,
    seed: int,
    validate: Callable[[], Mapping[str, float]] | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[History], None] | None = None,
) -> History:
    """Train a method's module in place and return the metrics of its epochs.

    With the same arguments the result is the same, bit for bit on a CPU, whether the run was interrupted between any
    two epochs or not. The last images of an epoch that do not fill a batch are left out of that epoch.

    Args:
        method: What is trained.
        train: The training images; the order of each epoch depends on `seed` and the epoch only.
        settings: Epochs, optimiser, schedule.
        fabric: Device, precision and number of devices; already launched where it has several.
        seed: Of the order of the images, their augmentation, and dropout.
        validate: Called after each epoch; its values join the epoch's row.
        checkpoint: Where to leave a checkpoint after each epoch, and to go on from if it is there.
        on_epoch: Called after each epoch's checkpoint, and once more when a run goes on from one, so it must bear
            being called twice for an epoch; it may raise to end the run.

    Raises:
        TrainingError: If a loss or a score is not finite (the checkpoint is removed then), if there is no image to
            train with, or if the checkpoint is damaged or belongs to a run with other settings.
        OutOfMemoryError: If there is too little memory; the checkpoint stays.
    """
    loop = _Loop(method, train, settings, fabric, seed)
    with fenced_random_state(derive_seed(seed, "torch"), fabric.device):
        if checkpoint is not None and checkpoint.exists():
            loop.restore(checkpoint)
            if on_epoch is not None:
                on_epoch(loop.history())
        while not loop.finished:
            try:
                loop.run_epoch(validate)
            except OutOfMemoryError:
                raise  # with more of it, it goes on from the checkpoint
            except TrainingError:
                if checkpoint is not None:  # whoever went on from it would come to the same end
                    checkpoint.unlink(missing_ok=True)
                raise
            if checkpoint is not None:
                loop.save(checkpoint)
            if on_epoch is not None:
                on_epoch(loop.history())
        loop.finish()
    return loop.history()


def goes_on(checkpoint: Path, train: Examples, settings: Settings, *, seed: int) -> bool:
    """Return whether `fit` would go on from a checkpoint with these arguments, or refuse it as one of other settings.

    Args:
        checkpoint: A file that `fit` left.
        train: As for `fit`.
        settings: As for `fit`.
        seed: As for `fit`.

    Raises:
        TrainingError: If the checkpoint is damaged.
    """
    return load_tensors(checkpoint).values.get("run") == _identity(train, settings, seed)


def _identity(train: Examples, settings: Settings, seed: int) -> str:
    what = {**asdict(settings), "seed": seed, "images": len(train)}
    if not settings.variant:
        del what["variant"]  # as files from before there were variants have it
    return json.dumps(what, sort_keys=True)


class _Loop:
    """The state of one run between its epochs."""

    def __init__(
        self, method: Method, train: Examples, settings: Settings, fabric: Fabric, seed: int
    ) -> None:
        if len(train) == 0:
            raise TrainingError(
                explain(
                    where="training data",
                    rule="at least one image is needed",
                    found="none",
                    do="raise data.fraction or check the split",
                )
            )
        self._method, self._train, self._settings = method, train, settings
        self._fabric, self._seed = fabric, seed
        self._steps_per_epoch = max(len(train) // settings.batch_size, 1)
        self._state = TrainingState(method, settings, fabric)
        self._rows: list[Row] = []
        self._best = Best(method.module, keep=settings.keep_best)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done or patience ran out."""
        return len(self._rows) >= self._settings.epochs or self._out_of_patience

    @property
    def _out_of_patience(self) -> bool:
        patience, last = self._settings.patience, self._best.last
        if patience is None or last is None:
            return False
        return len(self._rows) - last >= patience

    def history(self) -> History:
        """Return the rows so far."""
        early = self._out_of_patience and len(self._rows) < self._settings.epochs
        rows = tuple(dict(row) for row in self._rows)
        return History(rows, self._best.last, early, self._best.epochs)

    def run_epoch(self, validate: Callable[[], Mapping[str, float]] | None) -> None:
        """Train for one epoch, validate, and add the row."""
        start = time.perf_counter()
        epoch = len(self._rows)
        self._method.module.train()
        sums: dict[str, Tensor] = {}
        for index, (images, targets) in enumerate(self._batches(epoch)):
            for name, value in self._step(epoch, index, images, targets).items():
                sums[name] = sums[name] + value if name in sums else value
        row: Row = {"epoch": epoch + 1, "step": (epoch + 1) * self._steps_per_epoch}
        row |= {name: float(value) / self._steps_per_epoch for name, value in sums.items()}
        row |= self._state.learning_rates() | dict(self._method.epoch_values())
        if validate is not None:
            with within(f"after epoch {epoch + 1}"):
                row |= dict(validate())
        row["seconds"] = time.perf_counter() - start
        self._rows.append(row)
        self._best.note(len(self._rows), row)

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Mapping[str, Tensor]]]:
        return iter(
            self._train.batches(
                self._settings.batch_size,
                seed=self._seed,
                epoch=epoch,
                augment=self._settings.augment or None,
                device=str(self._fabric.device),
                drop_last=len(self._train) >= self._settings.batch_size,
            )
        )

    def _step(
        self, epoch: int, index: int, images: Tensor, targets: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        step = epoch * self._steps_per_epoch + index
        self._method.before_step(self._progress(step))
        factor = learning_rate_factor(self._settings, step, self._steps_per_epoch)
        images, targets = _share_of_device(images, targets, self._fabric)
        loss = self._method.loss(self._state.network, images, targets)
        if not bool(torch.isfinite(loss.total)):
            raise _not_finite(epoch, step, loss.parts)
        with within(f"training: epoch {epoch + 1}, step {step}"):
            self._state.descend(loss, factor)
        return {"loss": loss.total.detach()} | {k: v.detach() for k, v in loss.parts.items()}

    def _progress(self, step: int) -> float:
        return step / (self._settings.epochs * self._steps_per_epoch)

    def finish(self) -> None:
        """Put the best weights in place where that was asked for."""
        self._best.put_in_place()

    def _identity(self) -> str:
        return _identity(self._train, self._settings, self._seed)

    def save(self, path: Path) -> None:
        """Write all that the next epoch depends on; the first of several devices does it."""
        if self._fabric.global_rank == 0:
            tensors = self._state.tensors()
            tensors |= {f"best.{name}": value for name, value in self._best.tensors.items()}
            values = {"run": self._identity(), "rows": self._rows, "best": self._best.to_json()}
            save_tensors(path, tensors, values | {"precision": self._state.precision_values()})
        self._fabric.barrier()

    def restore(self, path: Path) -> None:
        """Take back what `save` wrote."""
        snapshot = load_tensors(path)
        if snapshot.values.get("run") != self._identity():
            raise TrainingError(
                explain(
                    where=str(path),
                    rule="a checkpoint is continued with the settings that it was written with",
                    found=f"{snapshot.values.get('run')} where {self._identity()} is asked for",
                    do="restore the settings, or remove the file to start anew",
                )
            )
        try:
            self._state.load(snapshot)
            rows = cast("list[Row]", snapshot.values["rows"])
            self._rows = [{str(key): _number(value) for key, value in row.items()} for row in rows]
            self._best.load(snapshot.values["best"], section(snapshot.tensors, "best"))
            # What its last step left (a temperature, say) counts for the scores of a training that is over.
            self._method.before_step(self._progress(len(rows) * self._steps_per_epoch - 1))
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
            raise TrainingError(
                explain(
                    where=str(path),
                    rule="a checkpoint of this training is needed",
                    found=f"{type(error).__name__}: {str(error)[:200]}",
                    do="remove the file; the training then starts anew",
                )
            ) from error


def _number(value: object) -> float:
    """Return a stored number as it is: whole ones stay whole."""
    return value if isinstance(value, int) else float(value)  # type: ignore[arg-type]


def _share_of_device(
    images: Tensor, targets: Mapping[str, Tensor], fabric: Fabric
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Return every n-th example of a batch, where n devices work on it together."""
    rank, world = fabric.global_rank, fabric.world_size
    if world == 1:
        return images, targets
    return images[rank::world], {name: value[rank::world] for name, value in targets.items()}


def _not_finite(epoch: int, step: int, parts: Mapping[str, Tensor]) -> TrainingError:
    bad = [name for name, value in parts.items() if not bool(torch.isfinite(value))]
    tasks = ", ".join(name.removeprefix("loss/") for name in bad) or "their sum"
    do = "lower the learning rate, set training.clip, or check this task's targets"
    return TrainingError(
        explain(
            where=f"training: epoch {epoch + 1}, step {step}",
            rule="every loss must be finite",
            found=f"a loss that is not, of {tasks}",
            do=do,
        )
    )
