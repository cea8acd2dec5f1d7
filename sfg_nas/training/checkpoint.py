"""Checkpoints: tensors and a JSON text in one safetensors file, so that one rename puts both in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sfg_nas.errors import TrainingError, explain
from sfg_nas.training.files import write_atomically
from sfg_nas.weights import BESIDE, load_weights, read_tensors, save_weights, write_tensors


@dataclass(frozen=True)
class Snapshot:
    """What a checkpoint holds.

    Attributes:
        tensors: Names such as `module.<name>`, `optimizer.0.<parameter>.<key>` or `method.<name>`.
        values: JSON values: epoch, step, rows of metrics and what a device needs.
    """

    tensors: Mapping[str, Tensor]
    values: Mapping[str, object]


def save_tensors(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, object]) -> None:
    """Write tensors and JSON values to one safetensors file, atomically.

    Args:
        path: Where the file shall lie.
        tensors: Any tensors; copied to the CPU.
        values: Whatever JSON can hold.
    """
    write_atomically(path, lambda temporary: write_tensors(temporary, tensors, dict(values)))


def load_tensors(path: Path) -> Snapshot:
    """Return the tensors and JSON values of a file that `save_tensors` wrote.

    Args:
        path: The file.

    Raises:
        TrainingError: If the file is not one of these.
    """
    tensors, values = read_tensors(
        path, error=TrainingError, do="remove the file; the training then starts anew"
    )
    if not isinstance(values, dict):
        raise TrainingError(
            explain(
                where=str(path),
                rule="a checkpoint of this package is needed",
                found=f"values of type {type(values).__name__}",
                do="remove the file; the training then starts anew",
            )
        )
    return Snapshot(tensors, values)


def section(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix.`, without it.

    Args:
        tensors: Named tensors.
        prefix: The section's name.
    """
    start = f"{prefix}."
    return {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}


def save_module(path: Path, module: nn.Module) -> None:
    """Write a module's parameters and buffers to a safetensors file, atomically.

    Args:
        path: Where the file shall lie.
        module: Any module.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(path, module)


def load_module(path: Path, module: nn.Module, *, do: str = BESIDE) -> None:
    """Read parameters and buffers back into a module of the same shape.

    Args:
        path: A file that `save_module` wrote.
        module: The module to fill.
        do: What the reader can do about another file.

    Raises:
        ArchitectureError: If the file is damaged or belongs to another module.
    """
    load_weights(path, module, do=do)


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """Return an optimiser's state as named tensors.

    Args:
        optimizer: Adam, AdamW or SGD.
        prefix: The section's name.
    """
    state: dict[int, dict[str, object]] = optimizer.state_dict()["state"]
    return {
        f"{prefix}.{index}.{key}": value
        for index, entries in state.items()
        for key, value in entries.items()
        if isinstance(value, Tensor)
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser the state that `optimizer_tensors` named; rates and decays stay as they are.

    Args:
        optimizer: An optimiser over the same parameters.
        tensors: The section's tensors, without the prefix.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
