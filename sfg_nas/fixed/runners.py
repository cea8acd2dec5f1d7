"""What computes the nodes of a fixed network: a layer, or an operation with its settings.

They are objects, not closures: a deep copy of the network must run the copy's own layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sfg_nas.architecture import Node
from sfg_nas.fixed.layers import constant
from sfg_nas.fixed.pooling import POOLS, compared
from sfg_nas.operations import Operation, Ready, Setting, ready, run_operation


@dataclass
class Layer:
    """Runs a module on one operand, whose parts are joined."""

    module: nn.Module
    operand: int
    axis: int

    def __call__(self, inputs: list[list[Tensor]], _training: bool) -> Tensor:
        """Return the layer's value for a node's operands."""
        value: Tensor = self.module(_joined(inputs[self.operand], self.axis))
        return value


@dataclass
class Function:
    """Runs an operation, with the values that it takes beside its operands."""

    operation: Operation
    names: tuple[str, ...]
    item: int | None
    settings: dict[str, Setting]
    listed: bool
    module: nn.Module | None
    ready: Ready = field(init=False)

    def __post_init__(self) -> None:
        """Make the operation ready."""
        self.ready = ready(self.operation)

    def __call__(self, inputs: list[list[Tensor]], training: bool) -> Tensor:
        """Return the operation's value for a node's operands."""
        tensors: dict[str, Tensor | list[Tensor]] = {
            name: found if self.listed else found[0]
            for name, found in zip(self.names, inputs, strict=True)
        }
        if self.module is not None:
            tensors.update(dict(self.module.named_parameters()))
            tensors.update(dict(self.module.named_buffers()))
        if not training and self.operation.name in POOLS:
            pooled = compared(self.operation.name, inputs[0][0], self.settings)
            if pooled is not None:
                return pooled
        result = run_operation(self.ready, tensors, self.settings, training=training)
        value = result if self.item is None else result[self.item]
        assert isinstance(value, Tensor)
        return value


class Values(nn.Module):
    """Constants and parameters of an operation that is not a layer (a scale, say)."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        for label, parameter in node["params"].items():
            value = torch.full(parameter["shape"], float(parameter["fill"]))
            if spread := parameter.get("spread"):
                value += torch.randn(parameter["shape"]) * spread
            if parameter["values"] is not None:
                value = constant(parameter)
            if parameter["trained"]:
                self.register_parameter(label, nn.Parameter(value))
            else:
                self.register_buffer(label, value)


def first(inputs: list[list[Tensor]], _training: bool) -> Tensor:
    """Return the first operand as it is."""
    return inputs[0][0]


def _joined(tensors: list[Tensor], axis: int) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, axis)
