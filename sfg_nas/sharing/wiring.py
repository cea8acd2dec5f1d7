"""Which row of the assignment table every channel takes, and which layers read which channels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sfg_nas.allocation import Allocation
from sfg_nas.errors import ArchitectureError, explain
from sfg_nas.groups import Groups
from sfg_nas.operations import BANKS, Kind, vocabulary
from sfg_nas.sharing.channels import ChannelMap
from sfg_nas.sharing.choices import Choices, Tie
from sfg_nas.sharing.macs import macs_of, mixing_macs
from sfg_nas.sharing.traced import (
    BATCH,
    TracedNetwork,
    TracedOp,
    conv_groups,
    is_kind,
    public_path,
)
from sfg_nas.sharing.units import SEARCHABLE, Layout


@dataclass(frozen=True)
class ReadingLayer:
    """A filter bank whose weights are masked by the connections that are allowed.

    Attributes:
        name: Public name of the layer.
        weight: Static key of its weight.
        ops: Names of the operations that use it (several if the module is called again).
        transposed: Whether the weight is `[C, F, ...]` instead of `[F, C, ...]`.
        grouped: Whether it is a grouped convolution, whose conv-groups each have one owner.
        filters: Row of the table for each filter `[F]`.
        channels: Row of the table for each input channel `[C]`; a run of `repeat` input
            positions shares a row where a map was flattened.
        repeat: Length of these runs.
        macs_per_connection: MACs that one filter spends on one entry of `channels`.
        fixed_macs: MACs that do not depend on the assignment (grouped convolutions).
    """

    name: str
    weight: str
    ops: tuple[str, ...]
    transposed: bool
    grouped: bool
    filters: Tensor
    channels: Tensor
    repeat: int
    macs_per_connection: int
    fixed_macs: int

    @property
    def masked(self) -> bool:
        """Whether its weight needs a mask: not where filters and channels are all tied."""
        tied = len(set(self.filters.tolist()) | set(self.channels.tolist())) == 1
        return not (self.grouped or tied)


@dataclass(frozen=True)
class Wiring:
    """Everything about a network that assignments need to know.

    Attributes:
        network: The traced operations.
        groups: The groups.
        variables: V, the number of independent assignments.
        layers: Searchable layer to the variable of each filter `[F]`.
        reading: The filter banks that read channels, heads included.
        rows: Operation to `(axis, rows)`: the channel axis of its output and the table row of each
            position along it. Absent where labels vary along several axes (inside a shuffle).
        gated: Heads that read features in which forbidden channels are zero.
        choices: How many filters there are and how many choices, and what ties them.
        mixing: MACs per example of each product of activations, whose channels are all tied.
        copies: MACs per example of each operation within a gate, which is there once for each group that owns channels
            of what the gate is for.
    """

    network: TracedNetwork
    groups: Groups
    variables: int
    layers: Mapping[str, Tensor]
    reading: tuple[ReadingLayer, ...]
    rows: Mapping[str, tuple[int | None, Tensor]]
    gated: frozenset[int]
    choices: Choices
    mixing: Mapping[str, int] = field(default_factory=dict)
    copies: Mapping[str, int] = field(default_factory=dict)

    @property
    def mixing_macs(self) -> int:
        """MACs per example of all products of activations."""
        return sum(self.mixing.values())

    def is_copied(self, name: str) -> bool:
        """Return whether an operation is there once for each group, with channels that belong to nobody (see `gates`)."""
        return name in self.network.gates

    def op(self, name: str) -> TracedOp:
        """Return the operation of a name."""
        return next(op for op in self.network.ops if op.name == name)

    def owners(self, name: str) -> list[int]:
        """Return who may own channels of what an operation gives, as extended indices."""
        rows = self.rows[name][1]
        free = range(len(self.groups)) if bool((rows < self.variables).any()) else ()
        return sorted({*free, *(r - self.variables for r in rows.tolist() if r >= self.variables)})

    def of_owner(self, value: Tensor, op: TracedOp, owner: int) -> Tensor:
        """Return an owner's value of a norm within a gate, which may have one for each `[E, C]`; else the value.

        Args:
            value: As `Supernet.static_values` gives it.
            op: The operation that uses it.
            owner: Extended index.
        """
        each = self.is_copied(op.name) and is_kind(op, Kind.CHANNEL_NORM) and value.dim() == 2
        return value[owner] if each else value

    def allocation(self, groups_of_variables: Tensor) -> Allocation:
        """Return the allocation for a group index per variable `[V]`."""
        layers = {
            name: tuple(groups_of_variables[rows].tolist()) for name, rows in self.layers.items()
        }
        return Allocation(self.groups, layers)

    def filters_of(self, *, means: bool) -> Tensor:
        """Return how many filters each variable has, as shares of their layers if asked, `[V]`."""
        found = torch.zeros(self.variables)
        for rows in self.layers.values():
            found += torch.bincount(rows, minlength=self.variables) / (len(rows) if means else 1)
        return found

    def variables_of(self, allocation: Allocation) -> Tensor:
        """Return the group index of every variable `[V]` under an allocation.

        Raises:
            ArchitectureError: The allocation is for other groups, layers or filter counts, or gives
                tied filters to different groups.
        """
        if allocation.groups != self.groups:
            found = f"groups {allocation.groups.names} of tasks {allocation.groups.tasks}"
            raise _error("", f"groups {self.groups.names} are expected", found)
        if set(allocation.layers) != set(self.layers):
            odd = sorted(set(allocation.layers) ^ set(self.layers))
            raise _error("", "it must name each searchable layer once", f"a mismatch in {odd[:5]}")
        result = torch.full((self.variables,), -1, dtype=torch.long)
        setter: dict[int, str] = {}
        for name, rows in self.layers.items():
            given = allocation.layers[name]
            if len(given) != len(rows):
                raise _error(name, f"{len(rows)} filters are expected", f"{len(given)}")
            for row, group in zip(rows.tolist(), given, strict=True):
                if result[row] not in (-1, group):
                    rule = f"its filters are tied to those of `{setter[row]}` and share groups"
                    raise _error(name, rule, "different groups")
                result[row] = group
                setter[row] = name
        return result


def wire(channels: ChannelMap, groups: Groups, weights: Mapping[str, Tensor]) -> Wiring:
    """Return the wiring of a network whose channels have been followed.

    Args:
        channels: Units and their layouts.
        groups: The groups.
        weights: Values of all filter banks by static key, for their shapes.
    """
    row_of = _rows(channels, groups)
    rows: dict[str, tuple[int | None, Tensor]] = {}
    gates = channels.network.gates
    for name, layout in channels.layouts.items():
        if name in gates:  # one for each owner of what the gate is for
            rows[name] = None, _rows_along(channels.layouts[gates[name]], row_of)[1]
        elif len(layout.axes) < 2:
            rows[name] = _rows_along(layout, row_of)
    variables = len(_searchable(channels))
    layers = {name: row_of[units] for name, units in channels.layers.items()}
    # a layer with filters tied to the image belongs to all tasks: nothing to search there
    layers = {name: r for name, r in layers.items() if bool((r < variables).all())}
    reading = tuple(_reading_layer(channels, key, weights[key], row_of) for key in channels.weights)
    shapes = {op.name: op.shape for op in channels.network.ops}
    macs = {op.name: mixing_macs(op, shapes) for op in channels.network.ops if op.name not in gates}
    mixing = {name: count for name, count in macs.items() if count}
    inside = (op for op in channels.network.ops if op.name in gates)
    copies = {op.name: count for op in inside if (count := macs_of(op, shapes, weights))}
    choices = _choices(channels, variables)
    return Wiring(
        channels.network,
        groups,
        variables,
        layers,
        reading,
        rows,
        channels.gated,
        choices,
        mixing,
        copies,
    )


def _choices(channels: ChannelMap, variables: int) -> Choices:
    filters = sum(len(units) for units in channels.layers.values())
    ops = [op for op in channels.network.ops if op.name in channels.ties]
    tasks = channels.network.tasks
    ties = (Tie(public_path(o.path, tasks), o.operation, channels.ties[o.name]) for o in ops)
    return Choices(filters, variables, tuple(ties))


def _searchable(channels: ChannelMap) -> list[int]:
    """Return the roots of layers none of whose filters has a fixed owner, in order."""
    found: dict[int, None] = {}
    for units in channels.layers.values():
        roots = channels.roots[units]
        if bool((channels.owners[roots] == SEARCHABLE).all()):
            found.update(dict.fromkeys(roots.tolist()))
    return list(found)


def _rows(channels: ChannelMap, groups: Groups) -> Tensor:
    """Return the table row of every unit `[U]`."""
    searchable = _searchable(channels)
    count = len(searchable)
    image = count + groups.owner_of_image()
    owners = channels.owners
    of_root = torch.where(owners == SEARCHABLE, image, owners + count)
    of_root[torch.tensor(searchable, dtype=torch.long)] = torch.arange(count)
    return of_root[channels.roots]


def _rows_along(layout: Layout, row_of: Tensor) -> tuple[int | None, Tensor]:
    if not layout.axes:
        return None, row_of[layout.labels.reshape(-1)]
    axis = layout.axes[0]
    return axis, row_of[layout.units_along(axis)]


def _reading_layer(channels: ChannelMap, key: str, weight: Tensor, row_of: Tensor) -> ReadingLayer:
    ops = [op for op in channels.network.ops if op.statics.get("weight") == key]
    ops = [op for op in ops if is_kind(op, *BANKS)]
    first = ops[0]
    kind = vocabulary()[first.operation].kind
    transposed = kind is Kind.CONV_TRANSPOSE
    linear = kind is Kind.LINEAR
    source = channels.layouts[first.operands["input"][0]]
    axis = len(source.shape) - 1 if linear else 1
    inputs = row_of[source.units_along(axis)]
    output = channels.layouts[first.name]
    filters = row_of[output.units_along(len(output.shape) - 1 if linear else 1)]
    parts = conv_groups(first)
    kernel = math.prod(weight.shape[2:])
    places = sum(_positions(channels, op, transposed, linear) for op in ops)
    repeat = _run_length(inputs) if linear else 1
    fixed = len(filters) * (len(inputs) // parts) * kernel * places if parts > 1 else 0
    return ReadingLayer(
        channels.weights[key],
        key,
        tuple(op.name for op in ops),
        transposed,
        parts > 1,
        filters,
        inputs[::repeat],
        repeat,
        kernel * places * repeat,
        fixed,
    )


def _positions(channels: ChannelMap, op: TracedOp, transposed: bool, linear: bool) -> int:
    """Return at how many places per example a filter is evaluated."""
    shape = channels.layouts[op.operands["input"][0]].shape if transposed else op.shape
    filters = shape[-1] if linear else shape[1]
    return max(math.prod(shape) // max(filters, 1) // BATCH, 1)


def _run_length(rows: Tensor) -> int:
    """Return the longest r such that the rows come in aligned runs of r equal entries."""
    count = len(rows)
    breaks = torch.nonzero(rows[1:] != rows[:-1]).reshape(-1) + 1
    length = count
    for place in breaks.tolist():
        length = math.gcd(length, place)
        if length == 1:
            break
    return max(length, 1)


def _error(layer: str, rule: str, found: str) -> ArchitectureError:
    where = f"allocation of layer `{layer}`" if layer else "allocation"
    return ArchitectureError(
        explain(where=where, rule=rule, found=found, do="use an allocation of this supernet")
    )
