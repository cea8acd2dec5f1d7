"""Plain networks for several tasks: one trunk for all (hard sharing), and one network for each task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from sfg_nas.cost import evaluating
from sfg_nas.errors import ConversionError, explain, shaped
from sfg_nas.sharing.features import running_on
from sfg_nas.sharing.names import free_key
from sfg_nas.tasks import Task


class ByTask(nn.Module):
    """Modules by the names of tasks, which may be any: torch's own dictionary refuses `type`, `train` and dots."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        """Keep the modules.

        Args:
            modules: By task, in order; registered under the task's name where torch takes it.
        """
        super().__init__()
        self._tasks: dict[str, str] = {}
        for task, module in modules.items():
            self._tasks[task] = free_key(task, self)
            self.add_module(self._tasks[task], module)

    def __getitem__(self, task: str) -> nn.Module:
        """Return the module of a task."""
        return self.get_submodule(self._tasks[task])

    def items(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the tasks with their modules, in order."""
        return ((task, self[task]) for task in self._tasks)

    def places(self) -> dict[str, str]:
        """Return by task what the names of its module's parameters begin with."""
        return {task: f"{key}." for task, key in self._tasks.items()}

    def values(self) -> Iterator[nn.Module]:
        """Yield the modules in the order of the tasks."""
        return (module for _, module in self.items())


class MultiTaskNetwork(nn.Module):
    """One trunk whose features all heads read: hard sharing (Caruana 1997)."""

    def __init__(self, backbone: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        """Keep the parts.

        Args:
            backbone: Maps images [N, C, H, W] to features.
            heads: Task to a module that maps the features to the task's output.
        """
        super().__init__()
        self.backbone = backbone
        self.heads = ByTask(heads)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the output of each task for images [N, C, H, W]."""
        features = self.backbone(images)
        return {task: head(features) for task, head in self.heads.items()}


class SingleTaskNetworks(nn.Module):
    """One whole network for each task, side by side in one module; no parameter is shared."""

    def __init__(self, networks: Mapping[str, MultiTaskNetwork]) -> None:
        """Keep the networks.

        Args:
            networks: Task to a network with that task's head.
        """
        super().__init__()
        self.networks = ByTask(networks)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the output of each task for images [N, C, H, W]."""
        return {task: network(images)[task] for task, network in self.networks.items()}

    def places(self) -> dict[str, str]:
        """Return by task what the names of its network's parameters begin with."""
        return {task: f"networks.{place}" for task, place in self.networks.places().items()}


def make_heads(
    backbone: nn.Module, tasks: Sequence[Task], image_shape: Sequence[int]
) -> dict[str, nn.Module]:
    """Return a new head for each task that fits a backbone's features.

    Args:
        backbone: Maps images [N, C, H, W] to features.
        tasks: The tasks.
        image_shape: C, H, W.

    Raises:
        ConversionError: If the backbone does not run on such images, or gives something else than features.
    """
    features = _features(backbone, image_shape)
    return {task.name: task.make_head(features.shape[1:], image_shape) for task in tasks}


def _features(backbone: nn.Module, image_shape: Sequence[int]) -> Tensor:
    """Return the features [1, ...] of an empty image, in evaluation mode."""
    with running_on(image_shape), torch.no_grad(), evaluating(backbone):
        features: object = backbone(torch.zeros(1, *image_shape))
    found = f"a {type(features).__name__}"
    if isinstance(features, Tensor):
        if features.dim() > 1 and len(features) == 1:
            return features
        found = f"a tensor {list(features.shape)}"
    rule, do = "it must map images [N, C, H, W] to features [N, ...]", "return these alone"
    found += f" for one image {shaped(image_shape)}"
    raise ConversionError(explain(where="backbone", rule=rule, found=found, do=do))


def hard_sharing(
    backbone: Callable[[], nn.Module], tasks: Sequence[Task], image_shape: Sequence[int]
) -> MultiTaskNetwork:
    """Return a new network with one trunk for all tasks.

    Args:
        backbone: Makes a backbone with new weights from torch's global random state.
        tasks: The tasks.
        image_shape: C, H, W.
    """
    trunk = backbone()
    return MultiTaskNetwork(trunk, make_heads(trunk, tasks, image_shape))


def single_task(
    backbone: Callable[[], nn.Module], tasks: Sequence[Task], image_shape: Sequence[int]
) -> SingleTaskNetworks:
    """Return new networks, one for each task.

    Args:
        backbone: Makes a backbone with new weights from torch's global random state.
        tasks: The tasks.
        image_shape: C, H, W.
    """
    networks = {task.name: hard_sharing(backbone, [task], image_shape) for task in tasks}
    return SingleTaskNetworks(networks)
