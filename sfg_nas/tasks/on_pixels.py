"""What kinds of tasks have in common whose labels lie on the image's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn

from sfg_nas.tasks.heads import dense_head
from sfg_nas.tasks.kind import TaskFields, TaskKind, WrongLabelError


class OnPixels(TaskKind):
    """A kind whose head gives a map, and whose labels a table names instead of holding them."""

    dense: ClassVar[bool] = True

    def head(
        self, task: TaskFields, features: torch.Size, image: Sequence[int] | None
    ) -> nn.Module:
        """Return a 1x1 convolution, enlarged to the image's size where the features are smaller."""
        return dense_head(features, task.outputs, image)

    def parse(self, task: TaskFields, cell: str) -> float:
        """Refuse: a table names maps, and does not hold them."""
        del task
        raise WrongLabelError("a map of labels is needed, which no table holds", repr(cell))
