"""One operation for one owner: the common ground of all that writes architecture nodes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import networkx as nx
import torch
from torch import Tensor

from sfg_nas.architecture import Parameter, parameter
from sfg_nas.errors import ConversionError, explain
from sfg_nas.groups import Groups
from sfg_nas.operations import Kind
from sfg_nas.sharing.cost import affine_axis
from sfg_nas.sharing.initial import Initial
from sfg_nas.sharing.traced import BATCH, TracedOp, is_kind
from sfg_nas.sharing.units import Layout
from sfg_nas.sharing.wiring import Wiring


class Divider(Protocol):
    """What a part needs of the division under way.

    Attributes:
        wiring: Ties and rows of the supernet.
        groups: The groups.
        graph: The graph being written.
        parts: Operation to owner (extended index) to node.
        statics: Values of parameters and constants by key.
        initial: Where they stood before any training.
        layouts: Layouts in which every position along the channel axis has its own label.
    """

    wiring: Wiring
    groups: Groups
    graph: nx.DiGraph[str]
    parts: dict[str, dict[int, str]]
    statics: dict[str, Tensor]
    initial: Initial
    layouts: dict[str, Layout]

    def connect(self, source: str, target: str, operand: int, position: int) -> None:
        """Let `source` feed one slot of `target`."""

    def readable(self, source: str, owner: int) -> list[str]:
        """Return the parts of an operation's output that an owner may read, in a fixed order."""

    def is_trained(self, key: str) -> bool:
        """Return whether a static value is, or depends on, a parameter."""

    def is_frozen(self, key: str) -> bool:
        """Return whether training leaves a static value as it is, though it is one of parameters or running statistics."""


class Part:
    """One operation's channels of one owner.

    Attributes:
        op: The traced operation.
        owner: Extended index of the owner.
        axis: Channel axis of the output, batch included; None if it has no more than one unit, or
            channels went into the batch.
        channels: Positions of this owner's channels along that axis.
        repeats: Size of the first dimension, for each example where the batch lies in it.
        shape: Output shape on the example, with these channels alone.
        name: Name of the node.
    """

    def __init__(
        self,
        divider: Divider,
        op: TracedOp,
        *,
        order: int,
        owner: int,
        axis: int | None,
        channels: list[int],
    ) -> None:
        self.divider, self.op, self.owner = divider, op, owner
        self.axis, self.channels, self.order = axis, channels, order
        self.shape = list(op.shape)
        if axis is not None:
            self.shape[axis] = len(channels)
        if axis is not None and axis == op.free > 0:  # beside the batch: those of one example
            self.channels = channels[: len(channels) // BATCH]
        self.repeats = self.shape[0]
        if op.free == 0:
            self.repeats = max(self.shape[0] // BATCH, 1)
        if axis == 0:  # channels that went into the batch: those of one example
            self.axis, self.channels = None, channels[: self.repeats]
        self.group = divider.groups.extended[owner]
        self.name = f"{op.name}@{divider.groups.name_of(self.group)}"

    def node(
        self,
        operation: str,
        operands: Mapping[str, Sequence[str]],
        settings: Mapping[str, object] | None = None,
        params: Mapping[str, Parameter] | None = None,
        item: int | None = None,
        *,
        layer: str | None = None,
    ) -> str:
        """Add this part's node to the graph and return its name.

        Args:
            operation: Name in the vocabulary, or `input`, `constant`, `select`.
            operands: Argument name to the nodes it reads, in order.
            settings: The operation's other arguments.
            params: Its tensors.
            item: Which result is meant, of an operation with several.
            layer: Of which layer its channels are, the operation's own if None.
        """
        tasks = self.divider.groups.tasks
        shape = self.shape[1:]
        if self.op.free > 0:  # the batch lies elsewhere: each example takes its share of it
            shape[self.op.free - 1] //= BATCH
        self.divider.graph.add_node(
            self.name,
            op=operation,
            layer=self.op.name if layer is None else layer,
            group=[tasks[i] for i in sorted(self.group)],
            channels=self.channels,
            axis=self.axis,
            shape=shape,
            settings={k: _as_json(v) for k, v in (settings or {}).items()},
            operands=list(operands),
            params=dict(params or {}),
            item=item,
            order=self.order,
            repeats=self.repeats,
        )
        for operand, sources in enumerate(operands.values()):
            for position, source in enumerate(sources):
                self.divider.connect(source, self.name, operand, position)
        return self.name

    def own(self, source: str) -> str:
        """Return the part of an operation's output that has this owner.

        Raises:
            ConversionError: There is none.
        """
        parts = self.divider.parts[source]
        if self.owner not in parts:
            raise ConversionError(
                explain(
                    where=f"distill: `{self.op.name}`",
                    rule="operands of one operation must be owned by the same groups",
                    found=f"no channels of `{source}` for {sorted(self.group)}",
                    do="report this network: its ties were not followed",
                )
            )
        return parts[self.owner]

    def plain(self, operation: str, settings: Mapping[str, object]) -> str:
        """Write the operation over this owner's parts of its operands and return the node."""
        operands = {k: [self.own(s) for s in names] for k, names in self.op.operands.items()}
        params = {k: self.static(k, self._static_axis(k)) for k in self.op.statics}
        kept = {k: v for k, v in settings.items() if k != "training" and (k, v) != ("train", False)}
        # what stands for it may be an operation with one result: `select` for a piece of `unbind`
        item = self.op.item if operation == self.op.operation else None
        return self.node(operation, operands, kept, params, item)

    def _static_axis(self, argument: str) -> int | None:
        """Return the axis of a static tensor that follows the channels, None if none does."""
        value = self.divider.statics[self.op.statics[argument]]
        return affine_axis(self.op, argument, self.axis, value)

    def static(self, argument: str, axis: int | None) -> Parameter:
        """Return the record of one static tensor, cut to the channels of this part."""
        key = self.op.statics[argument]
        value = self.divider.wiring.of_owner(self.divider.statics[key], self.op, self.owner)
        shape = list(value.shape)
        if axis is not None and self.axis is not None:
            shape[axis] = len(self.channels)
        target = self.divider.wiring.network.static_target(key)
        trained = self.divider.is_trained(key)
        record = parameter(key=target or key, shape=shape, axis=axis, trained=trained)
        if self.divider.is_frozen(key):
            record["frozen"] = True
        if trained or is_kind(self.op, Kind.CHANNEL_NORM):
            initial, values = self.divider.initial, self.divider.statics
            record["fill"] = initial.fill(self.op, argument, values)
            spread = initial.spread(self.op, argument, values)
            if spread is not None:
                record["spread"] = spread
            return record
        kept = value
        if axis is not None and self.axis is not None:
            kept = value.index_select(axis, torch.tensor(self.channels, device=value.device))
        flat = kept.reshape(-1)
        record["values"] = flat.tolist() if kept.dtype is torch.bool else flat.double().tolist()
        return record


def _as_json(value: object) -> object:
    """Return a setting as JSON can hold it."""
    return f"float:{value}" if isinstance(value, float) and not math.isfinite(value) else value
