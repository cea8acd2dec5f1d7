"""Cross-Stitch networks: one column for each task, whose features are mixed channel by channel on the way.

The network of columns takes any unit that mixes them, see `sfg_nas.baselines.nddr`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sfg_nas.baselines.lockstep import Lockstep, traced
from sfg_nas.baselines.network import ByTask, make_heads
from sfg_nas.cost import evaluating
from sfg_nas.errors import ConversionError, explain
from sfg_nas.tasks import Task


class CrossStitchUnit(nn.Module):
    """Mixes the channels of T columns: each goes on as a weighted sum of its namesakes.

    Attributes:
        weights: `[C, T, T]`; entry `[c, t, u]` is how much of channel c of column u goes into column t.
    """

    def __init__(self, channels: int, tasks: int, alpha: float) -> None:
        """Begin with `alpha` on a column's own channel and the rest in equal parts on the others.

        Args:
            channels: C.
            tasks: T.
            alpha: In (0, 1]; 1 begins with columns that do not meet.
        """
        super().__init__()
        other = (1 - alpha) / max(tasks - 1, 1)
        start = torch.full((tasks, tasks), other).fill_diagonal_(alpha if tasks > 1 else 1.0)
        self.weights = nn.Parameter(start.repeat(channels, 1, 1))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the mixed features of each column, `[N, C, ...]` each."""
        view = (1, -1, *[1] * (features[0].dim() - 2))
        mixed = []
        for into in range(len(features)):
            parts = [
                self.weights[:, into, source].view(view) * column
                for source, column in enumerate(features)
            ]
            mixed.append(sum(parts[1:], parts[0]))
        return mixed


MakeUnit = Callable[[torch.Size], nn.Module]
"""Makes what mixes the columns from the shape of their features at a place, `[1, C, ...]`; it maps lists to lists."""


class CrossStitchNetwork(nn.Module):
    """One column and head for each task, with units where the columns meet.

    Attributes:
        columns: One backbone for each task.
        units: One for each place, in order.
        stitched: Whether the columns meet; if not, they are single-task networks.
    """

    def __init__(
        self,
        columns: Sequence[nn.Module],
        heads: dict[str, nn.Module],
        example: Tensor,
        *,
        unit: MakeUnit,
    ) -> None:
        """Find the places and make a unit for each.

        Args:
            columns: Backbones of one make.
            heads: Task to head, in the order of the columns.
            example: `[1, C, H, W]`.
            unit: Makes the unit of a place.

        Raises:
            ConversionError: If the backbone cannot be traced, or has no place where columns could meet.
        """
        super().__init__()
        self.stitched = True
        self.columns = nn.ModuleList(traced(c, where="cross-stitch: backbone") for c in columns)
        self.heads = ByTask(heads)
        # Plain lists of modules that are registered above.
        self._lockstep = Lockstep([c for c in self.columns if isinstance(c, torch.fx.GraphModule)])
        with torch.no_grad(), evaluating(self.columns):
            places = self._lockstep.places(example)
            shapes = self._lockstep.shapes(example)
        if not places:
            raise ConversionError(
                explain(
                    where="cross-stitch: backbone",
                    rule="some features must lie on every path from the image to the output",
                    found="none",
                    do="leave cross-stitch out",
                )
            )
        self._places = {name: index for index, name in enumerate(places)}
        self.units = nn.ModuleList(unit(shapes[name]) for name in places)

    @property
    def places(self) -> tuple[str, ...]:
        """Return the names of the operations after which the columns meet."""
        return tuple(self._places)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the output of each task for images [N, C, H, W]."""
        places = frozenset(self._places) if self.stitched else frozenset()
        features = self._lockstep.run(images, self._meet, places)
        pairs = zip(self.heads.items(), features, strict=True)
        return {task: head(own) for (task, head), own in pairs}

    def _meet(self, place: str, features: list[Tensor]) -> list[Tensor]:
        mixed: list[Tensor] = self.units[self._places[place]](features)
        return mixed


def cross_stitch(
    backbone: Callable[[], nn.Module],
    tasks: Sequence[Task],
    image_shape: Sequence[int],
    *,
    alpha: float = 0.9,
) -> CrossStitchNetwork:
    """Return a network with one column for each task and a unit for each channel after each pooling.

    With `alpha` of 1 it computes what `single_task` computes, and from the same random state has the same weights.

    Source: Misra, Shrivastava, Gupta and Hebert 2016, "Cross-stitch networks for multi-task learning", section 4: one
    T x T unit per channel after each pooling, started at 0.9 and 0.1 (their best of 0.9/0.1, 0.5/0.5, ...).

    Args:
        backbone: Makes a backbone with new weights from torch's global random state.
        tasks: The tasks.
        image_shape: C, H, W.
        alpha: Where a unit begins: the weight of a task's own column; the others share the rest.

    Raises:
        ConversionError: If the backbone cannot be traced, or has no place where columns could meet.
    """
    return columns_with_units(
        backbone,
        tasks,
        image_shape,
        lambda shape: CrossStitchUnit(shape[1], len(tasks), alpha),
    )


def columns_with_units(
    backbone: Callable[[], nn.Module],
    tasks: Sequence[Task],
    image_shape: Sequence[int],
    unit: MakeUnit,
) -> CrossStitchNetwork:
    """Return a network with one column for each task and a unit where they meet.

    Args:
        backbone: Makes a backbone with new weights from torch's global random state.
        tasks: The tasks.
        image_shape: C, H, W.
        unit: Makes the unit of a place.

    Raises:
        ConversionError: If the backbone cannot be traced, or has no place where columns could meet.
    """
    columns: list[nn.Module] = []
    heads: dict[str, nn.Module] = {}
    for task in tasks:
        trunk = backbone()
        columns.append(trunk)
        heads |= make_heads(trunk, [task], image_shape)
    return CrossStitchNetwork(columns, heads, torch.zeros(1, *image_shape), unit=unit)
