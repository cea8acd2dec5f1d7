"""A network over a whole volume, window by window."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sfg_nas.tasks import Task
from sfg_nas.training.evaluation import placement

OVERLAP = 0.25
"""Share of a window that the next one covers too; where they overlap, their middles count more."""
_WINDOWS = {2: 16, 3: 1}
"""Windows at once, by their number of dimensions: one of three dimensions holds as much as many slices."""
_SLICES = 8


def predict_volume(
    network: nn.Module, values: NDArray[np.float32], patch: Sequence[int], tasks: Sequence[Task]
) -> dict[str, NDArray[Any]]:
    """Return each dense task's prediction at every voxel: numbers in the task's unit (float32), or classes (uint8).

    Windows of the network's own size slide over the volume, of each slice along the last axis if they are flat; outputs
    are averaged with Gaussian weights before they are decoded (MONAI's sliding window).

    Args:
        network: Maps patches `[N, 1, *patch]` to a mapping from task to output `[N, C, *patch]`; in eval mode.
        values: A prepared MR, `[X, Y, Z]`.
        patch: Size of a window, `[X, Y]` or `[X, Y, Z]`.
        tasks: The tasks to predict.
    """
    slide = importlib.import_module("monai.inferers").sliding_window_inference
    device, dtype = placement(network)
    fill = float(values.min())

    def outputs(windows: Tensor) -> dict[str, Tensor]:
        found: Mapping[str, Tensor] = network(windows.to(device, dtype))
        return {task.name: found[task.name].float().cpu() for task in tasks}

    def decoded(images: Tensor) -> dict[str, NDArray[Any]]:
        with torch.no_grad():
            found: Mapping[str, Tensor] = slide(
                images,
                tuple(patch),
                _WINDOWS[len(patch)],
                outputs,
                overlap=OVERLAP,
                mode="gaussian",
                cval=fill,
                device=torch.device("cpu"),
            )
            return {task.name: _narrow(task.decode(found[task.name])) for task in tasks}

    volume = torch.from_numpy(np.array(values, dtype=np.float32))  # writable, unlike a cache
    if len(patch) == 3:
        return {name: found[0] for name, found in decoded(volume[None, None]).items()}
    parts = [
        decoded(part.permute(2, 0, 1)[:, None].contiguous())
        for part in torch.split(volume, _SLICES, dim=-1)
    ]
    return {
        task.name: np.concatenate([part[task.name] for part in parts]).transpose(1, 2, 0).copy()
        for task in tasks
    }


def _narrow(predicted: Tensor) -> NDArray[Any]:
    kept = predicted if predicted.is_floating_point() else predicted.to(torch.uint8)
    array: NDArray[Any] = kept.numpy()
    return array
