"""Expected MACs and parameters of a relaxed network, differentiable through the probabilities."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sfg_nas.groups import Groups
from sfg_nas.operations import BANKS, Kind
from sfg_nas.sharing.norms import norm_axes
from sfg_nas.sharing.over_places import is_over_places
from sfg_nas.sharing.traced import TracedOp, is_kind
from sfg_nas.sharing.wiring import Wiring


@dataclass
class Prices:
    """What is paid for, over the rows of the assignment table.

    Attributes:
        filters: Price of a connection times how often each row filters in each layer `[L, V + E]`.
        channels: How often each row is a channel that each layer reads `[L, V + E]`.
        rows: Price of each row by itself, whatever it reads `[V + E]`.
        copies: Prices that each owner of some rows pays once, with these rows.
    """

    filters: Tensor
    channels: Tensor
    rows: Tensor
    copies: list[tuple[float, Tensor]] = field(default_factory=list)

    def to(self, like: Tensor) -> Prices:
        """Return the prices on the device and in the precision of a tensor."""
        copies = [(price, rows.to(like.device)) for price, rows in self.copies]
        return Prices(self.filters.to(like), self.channels.to(like), self.rows.to(like), copies)


class ExpectedCost:
    """E[cost] when every variable is drawn independently from its probabilities.

    For filter k and channel j with different variables E[m_k^T R m_j] = p_k^T R p_j; where both are
    the same variable the connection always exists. So the expectation is exact and bilinear in the
    sums of the probabilities over a layer. What runs for one task alone are the filters whose group
    holds it, over the channels they read. (What no head can reach, where a draw leaves a whole group
    of a layer empty, is counted although the fixed network drops it.)

    Attributes:
        shared: Cost per example when every filter belongs to all tasks.
    """

    def __init__(self, prices: Prices, groups: Groups) -> None:
        """Take over the prices.

        Args:
            prices: From `macs_of` or `params_of`.
            groups: The groups.
        """
        self.prices = prices
        self.itself = (prices.filters * prices.channels).sum(0)  # a variable reading itself
        self.reads = torch.from_numpy(groups.reads).double()
        holds = [[t in group for group in groups.extended] for t in range(len(groups.tasks))]
        self.holds = torch.tensor(holds, dtype=torch.double)  # [T, E]
        everyone, owners = groups.owner_of_image(), torch.eye(len(groups.extended))
        variables = len(prices.rows) - len(owners)
        table = torch.cat([owners[[everyone] * variables], owners])
        self.shared = round(float(self(table.double())))

    def __call__(self, table: Tensor, task: int | None = None) -> Tensor:
        """Return the expected cost per example, a scalar.

        Args:
            table: Probabilities of all variables and fixed owners `[V + E, E]`.
            task: Index of a task that alone is wanted; None for all.
        """
        if self.reads.dtype != table.dtype or self.reads.device != table.device:
            self.prices, self.holds = self.prices.to(table), self.holds.to(table)
            self.itself, self.reads = self.itself.to(table), self.reads.to(table)
        held = table if task is None else table * self.holds[task]
        readable = self.prices.filters @ held @ self.reads
        own = (held @ self.reads * table).sum(1)  # p^T R p
        alone = held.sum(1)
        cost = (readable * (self.prices.channels @ table)).sum() + self.prices.rows @ alone
        cost = cost + self.itself @ (alone - own)
        for price, rows in self.prices.copies:
            cost = cost + price * (1 - (1 - held[rows]).prod(0)).sum()
        return cost


def macs_of(wiring: Wiring) -> Prices:
    """Return what connections cost in MACs per example.

    Args:
        wiring: Of the supernet.
    """
    dense = [layer for layer in wiring.reading if not layer.grouped]
    size = wiring.variables + len(wiring.groups.extended)
    rows = torch.zeros(size, dtype=torch.double)
    for layer in wiring.reading:
        if layer.grouped:  # a conv-group has one owner: its filters read the same in any case
            each = layer.fixed_macs / len(layer.filters)
            rows += each * torch.bincount(layer.filters, minlength=size)
    for name, macs in wiring.mixing.items():
        _, own = wiring.rows[name]
        rows += macs / len(own) * torch.bincount(own, minlength=size)
    copies = [(float(n), torch.unique(wiring.rows[name][1])) for name, n in wiring.copies.items()]
    filters, channels = _counts(dense_rows=[(la.filters, la.channels) for la in dense], size=size)
    macs_each = torch.tensor([layer.macs_per_connection for layer in dense], dtype=torch.double)
    return Prices(filters * macs_each.unsqueeze(1), channels, rows, copies)


def params_of(wiring: Wiring, values: Mapping[str, Tensor], names: Collection[str]) -> Prices:
    """Return what connections and channels cost in trained parameters.

    Args:
        wiring: Of the supernet.
        values: Static values by key, for their shapes.
        names: Names of the user's parameters; what depends on none of them is not trained.
    """
    trained = {key for key in values if wiring.network.static_targets(key) & set(names)}
    dense = [layer for layer in wiring.reading if not layer.grouped]
    size = wiring.variables + len(wiring.groups.extended)
    rows = torch.zeros(size, dtype=torch.double)
    once: dict[tuple[str, float], list[Tensor]] = {}
    for layer in wiring.reading:
        if layer.grouped and layer.weight in trained:
            each = values[layer.weight].numel() / len(layer.filters)
            rows += each * torch.bincount(layer.filters, minlength=size)
    seen: set[tuple[str, tuple[int, ...]]] = set()
    for op in wiring.network.ops:
        if op.name not in wiring.rows:
            continue
        axis, own = wiring.rows[op.name]
        for argument, key in op.statics.items():
            bank = is_kind(op, *BANKS) and not wiring.is_copied(op.name)
            if key not in trained or (bank and argument == "weight"):
                continue
            if (key, tuple(own.tolist())) in seen:  # a module that is called once more
                continue
            seen.add((key, tuple(own.tolist())))
            along = affine_axis(op, argument, axis, values[key])
            count = wiring.of_owner(values[key], op, 0).numel()  # one owner's
            if along is None or axis is None:
                once.setdefault((key, float(count)), []).append(own)
            else:
                rows += count / len(own) * torch.bincount(own, minlength=size)
    filters, channels = _counts(dense_rows=[(la.filters, la.channels) for la in dense], size=size)
    numel = [values[la.weight].numel() if la.weight in trained else 0 for la in dense]
    places = [len(layer.filters) * len(layer.channels) for layer in dense]
    each_one = torch.tensor(numel, dtype=torch.double) / torch.tensor(places, dtype=torch.double)
    copies = [(count, torch.unique(torch.cat(users))) for (_, count), users in once.items()]
    return Prices(filters * each_one.unsqueeze(1), channels, rows, copies)


def _counts(dense_rows: Sequence[tuple[Tensor, Tensor]], size: int) -> tuple[Tensor, Tensor]:
    """Return how often each row filters, and is read, in each layer: two of `[L, size]`."""
    filters = [torch.bincount(rows, minlength=size).double() for rows, _ in dense_rows]
    channels = [torch.bincount(rows, minlength=size).double() for _, rows in dense_rows]
    return torch.stack(filters), torch.stack(channels)


def affine_axis(op: TracedOp, argument: str, axis: int | None, value: Tensor) -> int | None:
    """Return the axis of a static tensor that follows the channels, None if none does.

    Args:
        op: The operation that uses it.
        argument: As what it uses it.
        axis: Channel axis of the operation's output.
        value: The tensor.
    """
    if is_kind(op, *BANKS):
        return 0 if argument == "bias" else None
    if is_kind(op, Kind.CHANNEL_NORM):
        return 0
    if axis is None or value.dim() == 0 or is_over_places(op):
        return None
    if is_kind(op, Kind.MIXING_NORM) and norm_axes(op, axis) is not None:
        shape = op.settings.get("normalized_shape")
        return axis - (len(op.shape) - len(shape)) if isinstance(shape, list) else 0
    if op.operation == "prelu":
        return 0 if len(value) > 1 else None
    along = axis - (len(op.shape) - value.dim())
    return along if along >= 0 and value.shape[along] > 1 else None
