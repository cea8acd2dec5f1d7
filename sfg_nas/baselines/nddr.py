"""NDDR-CNN: one column for each task, whose features are fused by 1x1 convolutions on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sfg_nas.baselines.cross_stitch import CrossStitchNetwork, columns_with_units
from sfg_nas.tasks import Task

_FUSIONS: dict[int, tuple[Callable[..., nn.Module], Callable[[int], nn.Module]]] = {
    2: (lambda read, made, _, bias: nn.Linear(read, made, bias=bias), nn.BatchNorm1d),
    3: (nn.Conv1d, nn.BatchNorm1d),
    4: (nn.Conv2d, nn.BatchNorm2d),
    5: (nn.Conv3d, nn.BatchNorm3d),
}
"""The 1x1 convolution and the norm of features with so many axes."""


class NDDRUnit(nn.Module):
    """Fuses T columns: each goes on as its own 1x1 convolution of all columns' channels, with norm and ReLU.

    Attributes:
        fusions: One for each column; its weights are `[C, T * C, 1, ...]`, the columns one after the other.
    """

    def __init__(self, shape: Sequence[int], tasks: int, alpha: float) -> None:
        """Begin with `alpha` on a column's own channel and the rest in equal parts on its namesakes.

        Args:
            shape: Of a column's features, `[N, C, ...]`.
            tasks: T.
            alpha: In (0, 1].
        """
        super().__init__()
        channels = shape[1]
        convolution, norm = _FUSIONS[len(shape)]
        other = (1 - alpha) / max(tasks - 1, 1)
        same = torch.eye(channels)
        self.fusions = nn.ModuleList()
        for task in range(tasks):
            fuse = convolution(tasks * channels, channels, 1, bias=False)
            own = alpha if tasks > 1 else 1.0
            start = torch.cat([same * (own if t == task else other) for t in range(tasks)], dim=1)
            with torch.no_grad():
                weight = fuse.get_parameter("weight")
                weight.copy_(start.view_as(weight))
            self.fusions.append(nn.Sequential(fuse, norm(channels), nn.ReLU()))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the fused features of each column, `[N, C, ...]` each."""
        together = torch.cat(list(features), dim=1)
        return [fusion(together) for fusion in self.fusions]


def nddr(
    backbone: Callable[[], nn.Module],
    tasks: Sequence[Task],
    image_shape: Sequence[int],
    *,
    alpha: float = 0.9,
) -> CrossStitchNetwork:
    """Return a network with one column for each task, fused by 1x1 convolutions after each pooling.

    Source: Gao, Ma, Zhao, Liu and Yuille 2019, "NDDR-CNN: layerwise feature fusing in multi-task CNNs by neural
    discriminative dimensionality reduction", section 3 (1x1 convolution, norm and ReLU after each stage, started at
    0.9 and 0.1 on the diagonals). Ours: it meets where Cross-Stitch networks do, and batch norms have torch's momentum.

    Args:
        backbone: Makes a backbone with new weights from torch's global random state.
        tasks: The tasks.
        image_shape: C, H, W.
        alpha: Where a fusion begins: the weight of a task's own column; the others share the rest.

    Raises:
        ConversionError: If the backbone cannot be traced, or has no place where columns could meet.
    """
    return columns_with_units(
        backbone, tasks, image_shape, lambda shape: NDDRUnit(shape, len(tasks), alpha)
    )
