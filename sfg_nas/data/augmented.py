"""Whether an augmentation may be used on some images, and what becomes of the labels that lie on them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sfg_nas.data.augment import AUGMENTATIONS, Augmentation
from sfg_nas.tasks import Task


def unfit(name: str, shape: tuple[int, ...], allowed: Sequence[str], tasks: Sequence[Task]) -> str:
    """Return why an augmentation cannot be used, as the rule that it breaks; empty if it can.

    Args:
        name: Out of `AUGMENTATIONS`.
        shape: Of the images, `(C, *spatial)`.
        allowed: The names of those that keep the data set's labels true.
        tasks: Whose targets lie on the pixels.
    """
    augmentation = AUGMENTATIONS[name]
    if name not in allowed:
        return (
            "only augmentations that keep the labels of this data set true are "
            f"allowed ({', '.join(allowed) or 'none'})"
        )
    if shape[0] < augmentation.channels:
        return f"images of at least {augmentation.channels} channels are needed"
    if len(shape) <= augmentation.axes:
        return f"images with at least {augmentation.axes} axes are needed"
    directed = [task.name for task in tasks if task.rules.directed]
    if augmentation.turns and directed:
        return f"what turns images would need to know which way the axes of `{directed[0]}` point"
    return ""


def moved(
    task: Task, target: Tensor, augmentation: Augmentation, draws: Tensor, size: tuple[int, ...]
) -> Tensor:
    """Return targets that have moved with their images; directions are mirrored with the image.

    Args:
        task: Of a dense kind.
        target: `[B, *spatial]` or `[B, C, *spatial]`.
        augmentation: What was applied to the images.
        draws: Those of the images, `[B, k]`.
        size: Of the images, `spatial`.
    """
    maps = target.view(len(target), -1, *size)
    changed = augmentation.move(maps, draws, task.rules.missing)
    signs = augmentation.signs(draws, size) if task.rules.directed else None
    if signs is not None:
        known = min(signs.shape[1], changed.shape[1])
        changed = changed.clone()
        changed[:, :known] = changed[:, :known] * signs[:, :known]
    return changed.reshape(target.shape)
