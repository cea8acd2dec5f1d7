"""The network on its device, its optimisers, and how both go into a checkpoint and out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor, nn

from sfg_nas.training.checkpoint import Snapshot, load_optimizer, optimizer_tensors, section
from sfg_nas.training.method import Loss, Method, ParameterGroup
from sfg_nas.training.settings import Settings

_PRECISIONS = {
    "32": "32-true",
    "64": "64-true",
    "16-mixed": "16-mixed",
    "bf16-mixed": "bf16-mixed",
}


def make_fabric(device: str = "cpu", *, devices: int = 1, precision: str = "32") -> Fabric:
    """Return the Fabric object that a training runs on.

    Args:
        device: `cpu`, `cuda`, `cuda:1` or `mps`.
        devices: How many of them; with more than one, call its `launch` first.
        precision: `32`, `64`, `16-mixed` or `bf16-mixed`.
    """
    kind, _, index = device.partition(":")
    chosen: list[int] | int = [int(index)] if index and devices == 1 else devices
    accelerator = "gpu" if kind == "cuda" else kind
    # A shared process group is only set up where there are several devices.
    strategy = "auto" if devices == 1 else "ddp"
    # One process is one process, whatever the cluster's variables say of the tasks beside it.
    plugins = LightningEnvironment() if devices == 1 else None
    return Fabric(
        accelerator=accelerator,
        devices=chosen,
        strategy=strategy,
        precision=_PRECISIONS.get(precision, precision),  # type: ignore[arg-type]
        plugins=plugins,
    )


@dataclass(frozen=True)
class _OwnWay:
    """A method's own way back, in the place of a tensor: under mixed precision Fabric lets no gradient pass without it."""

    backward: Callable[[], None]


class TrainingState:
    """Network and optimisers, one optimiser for each parameter group."""

    def __init__(self, method: Method, settings: Settings, fabric: Fabric) -> None:
        """Move the module to its device and make the optimisers.

        Args:
            method: What is trained.
            settings: Optimiser, rates and clipping.
            fabric: Device and precision.
        """
        self._method, self._settings, self._fabric = method, settings, fabric
        groups = [group for group in method.parameter_groups() if group.parameters]
        self._names = [group.name for group in groups]
        self._rates = [group.learning_rate or settings.learning_rate for group in groups]
        self._plain = [_optimizer(group, settings) for group in groups]
        self.network, *self._optimizers = fabric.setup(method.module, *self._plain)

    def descend(self, loss: Loss, factor: float) -> None:
        """Take one step.

        Args:
            loss: With a graph.
            factor: What the peak learning rates are multiplied with.
        """
        self._set_rates(factor)
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        way = loss.total if loss.backward is None else cast("Tensor", _OwnWay(loss.backward))
        self._fabric.backward(way)
        for optimizer in self._optimizers:
            if self._settings.clip is not None:
                self._fabric.clip_gradients(
                    self.network,
                    optimizer,
                    max_norm=self._settings.clip,
                    error_if_nonfinite=False,
                )
            optimizer.step()

    def _set_rates(self, factor: float) -> None:
        for optimizer, rate in zip(self._plain, self._rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor

    def learning_rates(self) -> dict[str, float]:
        """Return the present rate of each group."""
        rates = (optimizer.param_groups[0]["lr"] for optimizer in self._plain)
        return {f"learning_rate/{n}": r for n, r in zip(self._names, rates, strict=True)}

    def precision_values(self) -> dict[str, object]:
        """Return what mixed precision carries from step to step (the scale of the loss)."""
        return dict(self._fabric.strategy.precision.state_dict())

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of a checkpoint."""
        tensors = {f"module.{k}": v for k, v in self._method.module.state_dict().items()}
        for index, optimizer in enumerate(self._plain):
            tensors |= optimizer_tensors(optimizer, f"optimizer.{index}")
        tensors |= {f"method.{k}": v for k, v in self._method.state_tensors().items()}
        tensors["random.cpu"] = torch.get_rng_state()
        if self._fabric.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self._fabric.device)
        return tensors

    def load(self, snapshot: Snapshot) -> None:
        """Take back what `tensors` and `precision_values` gave.

        Args:
            snapshot: A checkpoint of the same run.
        """
        tensors = snapshot.tensors
        self._method.module.load_state_dict(section(tensors, "module"))
        for index, optimizer in enumerate(self._plain):
            load_optimizer(optimizer, section(tensors, f"optimizer.{index}"))
        self._method.load_state_tensors(section(tensors, "method"))
        torch.set_rng_state(tensors["random.cpu"])
        if self._fabric.device.type == "cuda" and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], self._fabric.device)
        scale = cast("Mapping[str, object]", snapshot.values.get("precision", {}))
        self._fabric.strategy.precision.load_state_dict(dict(scale))


def _optimizer(group: ParameterGroup, settings: Settings) -> torch.optim.Optimizer:
    rate = group.learning_rate or settings.learning_rate
    decay = settings.weight_decay if group.weight_decay is None else group.weight_decay
    parameters: list[nn.Parameter] = list(group.parameters)
    # One kernel for all parameters: several percent of a small network's step on a CPU.
    match group.optimizer or settings.optimizer:
        case "adam":
            return torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)
    return torch.optim.SGD(
        parameters, lr=rate, weight_decay=decay, momentum=settings.momentum, fused=True
    )
