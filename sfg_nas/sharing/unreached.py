"""Filters that the image does not reach under the masks of a pass: their gradients are taken as of unit variance.

A filter whose group may read none of the channels that depend on the image is a constant: a shared filter where the
layer before has none that is shared, say, and whatever reads such filters alone. A norm divides its zero variance
away, and multiplies gradients by 1 / sqrt(eps), 316 for a batch norm, in every layer of such a path. This slope holds
for no step that could be taken: once the filter reads anything, its variance is about one, and so is the slope. So
gradients into such filters are multiplied by sqrt(eps). Without any, a search could not leave a state in which a
task's path is lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas.operations import NORMS, default_eps
from sfg_nas.sharing.copies import located
from sfg_nas.sharing.intercept import FUNCTIONS, Calls
from sfg_nas.sharing.norms import norm_eps
from sfg_nas.sharing.traced import is_kind
from sfg_nas.sharing.wiring import Wiring

_MARK = "_sfg_nas_unreached"
_TRACE = 1e-3  # a soft mask below this reads nothing


@dataclass(frozen=True)
class _Bank:
    """A searchable filter bank.

    Attributes:
        key: Static key of its weight.
        filters: Table row of each filter, `[F]`.
        channels: Table rows that it reads, each once.
        damping: sqrt(eps) of the norm that takes statistics over a filter, 1 without one, `[F]`.
    """

    key: str
    filters: NDArray[np.int64]
    channels: NDArray[np.int64]
    damping: NDArray[np.float32]


@dataclass(frozen=True)
class Reach:
    """What is needed to tell which filters the image reaches.

    Attributes:
        banks: All searchable ones, in order.
        joined: Rows that those of them read that do not read the image.
        starts: Where the rows of each of these begin in `joined`.
        reads: The reading rule, `[E, E]`.
        image: Row of the image.
        everyone: Owner that all may read, None without such a group.
        plain: Key of each weight that has no mask, to the name of the parameter that it is.
        again: Whether a bank is called more than once, so that it may read what comes after it.
    """

    banks: Sequence[_Bank]
    joined: NDArray[np.int64]
    starts: NDArray[np.int64]
    reads: NDArray[np.bool_]
    image: int
    everyone: int | None
    plain: Mapping[str, str | None]
    again: bool

    @classmethod
    def of(cls, wiring: Wiring) -> Reach:
        """Return it for a network.

        Args:
            wiring: Which filters are tied and who reads whom.
        """
        groups, traced = wiring.groups, wiring.network
        image = wiring.variables + groups.owner_of_image()
        damping = _damping(wiring)
        searched = [layer for layer in wiring.reading if layer.name in wiring.layers]
        banks = []
        for layer in searched:
            filters, channels = layer.filters.numpy(), np.unique(layer.channels.numpy())
            banks.append(_Bank(layer.weight, filters, channels, damping[filters]))
        inner = [bank.channels for bank in banks if image not in bank.channels]
        sizes = [0, *(len(channels) for channels in inner)]
        plain = {la.weight: traced.static_target(la.weight) for la in searched if not la.masked}
        every = frozenset(range(len(groups.tasks)))
        return cls(
            banks,
            np.concatenate([np.zeros(0, np.int64), *inner]),
            np.cumsum(sizes, dtype=np.int64)[:-1],
            np.asarray(groups.reads, dtype=bool),
            image,
            groups.sets.index(every) if every in groups.sets else None,
            plain,
            any(len(layer.ops) > 1 for layer in searched),
        )

    def unreached(self, table: Tensor) -> dict[str, Tensor]:
        """Return what the gradients of each filter are multiplied with, `[F]` by the key of a weight.

        Args:
            table: The masks of the pass `[V + E, E]`.

        Returns:
            Banks with filters before a norm that the image does not reach, on the device of `table`; none while there
            are no values to tell by.
        """
        valueless = table.is_meta or torch.compiler.is_compiling()
        if valueless or all((bank.damping == 1).all() for bank in self.banks):
            return {}
        masks = table.detach().float().cpu().numpy() > _TRACE
        if self._surely_reached(masks):
            return {}
        found = {}
        for bank, reached in zip(self.banks, self._reached(masks), strict=True):
            factors = np.where(reached, np.float32(1), bank.damping)
            if (factors < 1).any():
                found[bank.key] = torch.from_numpy(factors).to(table.device)
        return found

    def unmasked(self, network: nn.Module, unreached: Mapping[str, Tensor]) -> dict[int, Tensor]:
        """Return those of weights without masks, by the `id` of the weight.

        Args:
            network: Backbone and heads.
            unreached: What `unreached` returned.
        """
        found = {}
        for key in self.plain.keys() & unreached.keys():
            module, attribute = located(network, self.plain[key])
            if module is not None:
                found[id(getattr(module, attribute))] = unreached[key]
        return found

    def _surely_reached(self, masks: NDArray[np.bool_]) -> bool:
        """Return whether each bank has a channel that all may read: then the image reaches every filter."""
        if not len(self.starts):
            return True
        if self.everyone is None:
            return False
        shared = masks[self.joined, self.everyone]
        return bool(np.logical_or.reduceat(shared, self.starts).all())

    def _reached(self, masks: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
        """Return whether the image reaches each filter, `[F]` of every bank."""
        rows = np.zeros(len(masks), dtype=bool)
        rows[self.image] = True
        before = -1
        found: list[NDArray[np.bool_]] = []
        while int(rows.sum()) > before:
            before = int(rows.sum()) if self.again else len(rows)
            found.clear()
            for bank in self.banks:
                owners = np.any(masks[bank.channels[rows[bank.channels]]], axis=0)
                readers = np.any(self.reads[:, owners], axis=1)
                reached: NDArray[np.bool_] = np.any(masks[bank.filters][:, readers], axis=1)
                rows[bank.filters] |= reached
                found.append(reached)
        return found


def _damping(wiring: Wiring) -> NDArray[np.float32]:
    """Return sqrt(eps) of the norms that take statistics over the channels of a row, else 1, `[V + E]`."""
    found = np.ones(wiring.variables + len(wiring.groups.extended), dtype=np.float32)
    for op in wiring.network.ops:
        source = op.operands.get("input", ("",))[0]
        if is_kind(op, *NORMS) and source in wiring.rows:
            rows = np.unique(wiring.rows[source][1].numpy())
            found[rows] = np.minimum(found[rows], damping_of(op.operation, op.settings))
    return found


def damping_of(operation: str, settings: Mapping[str, object]) -> float:
    """Return sqrt(eps) of a norm, which takes back what it multiplies gradients with where its input is constant.

    Args:
        operation: Of a kind in `NORMS`.
        settings: Of the operation.
    """
    return math.sqrt(norm_eps(settings.get("eps", default_eps(operation)), torch.float))


def mark_unreached(weight: Tensor, damping: Tensor) -> None:
    """Let a masked weight remember what the gradients of its filters are multiplied with, `[F]`."""
    setattr(weight, _MARK, damping)


def damped(y: Tensor, damping: Tensor, axis: int = 0) -> Tensor:
    """Return a layer's output, whose gradients are multiplied by a factor for each channel.

    Args:
        y: The output; values stay as they are.
        damping: The factors, `[C]`; or one for all.
        axis: The dimension of the channels.
    """
    if y.requires_grad:
        view = [1] * y.dim()
        if damping.dim():
            view[axis] = len(damping)
        factors = damping.view(view)
        y.register_hook(lambda gradient: gradient * factors.to(gradient))  # type: ignore[no-untyped-call]
    return y


def damped_bank(
    function: Callable[..., object], y: Tensor, weight: object, damping: Tensor | None = None
) -> Tensor:
    """Return what a filter bank gives, with gradients multiplied as its weight says.

    Args:
        function: Of torch: `conv2d`, `linear`, ...
        y: Its output, `[N, F, ...]` (`[..., F]` for `linear`).
        weight: Its weight, marked by `mark_unreached` or not.
        damping: Used where it is not marked, `[F]`.
    """
    found: Tensor | None = getattr(weight, _MARK, damping)
    if found is None:
        return y
    return damped(y, found, y.dim() - 1 if function is functional.linear else 1)


class DampedGradients(Calls):
    """While it is active, gradients into filters that the image does not reach are damped."""

    def __init__(self, unmasked: Mapping[int, Tensor]) -> None:
        """Take note of the weights without masks.

        Args:
            unmasked: Factors `[F]` by the `id` of a weight that no mask marks.
        """
        super().__init__()
        self.unmasked = unmasked

    def answer(
        self, function: Callable[..., object], args: Sequence[object], keywords: dict[str, object]
    ) -> object:
        """Return what a call gives."""
        y = function(*args, **keywords)
        if FUNCTIONS.get(function) != "conv" or not isinstance(y, Tensor):
            return y
        weight = keywords.get("weight", args[1] if len(args) > 1 else None)
        return damped_bank(function, y, weight, self.unmasked.get(id(weight)))
