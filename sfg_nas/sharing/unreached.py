"""Filters that the image does not reach under the masks of a pass: no gradient goes into what they read.

A filter whose group may read none of the channels that depend on the image is a constant: a shared filter where the
layer before has none that is shared, say, and whatever reads such filters alone. A norm divides its zero variance
away, and multiplies gradients by up to 1 / sqrt(eps), 316 for a batch norm, in every layer of such a path. They are
of no use: values are bounded however the constant is read, and the step they ask for is right for no length of it.
So they end at the filter, before its norm. Its group still has the gradient of those who read the constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from sfg_nas.operations import NORMS
from sfg_nas.sharing.copies import located
from sfg_nas.sharing.intercept import FUNCTIONS
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
        normed: Whether a norm takes statistics over a filter, `[F]`.
    """

    key: str
    filters: NDArray[np.int64]
    channels: NDArray[np.int64]
    normed: NDArray[np.bool_]


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
        normed = _normed(wiring)
        searched = [layer for layer in wiring.reading if layer.name in wiring.layers]
        banks = []
        for layer in searched:
            filters, channels = layer.filters.numpy(), np.unique(layer.channels.numpy())
            banks.append(_Bank(layer.weight, filters, channels, normed[filters]))
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
        """Return the indices of the filters before a norm that the image does not reach, by the key of a weight.

        Args:
            table: The masks of the pass `[V + E, E]`.

        Returns:
            Banks that have some, on the device of `table`; none while there are no values to tell by.
        """
        valueless = table.is_meta or torch.compiler.is_compiling()
        if valueless or not any(bank.normed.any() for bank in self.banks):
            return {}
        masks = table.detach().float().cpu().numpy() > _TRACE
        if self._surely_reached(masks):
            return {}
        found = {}
        for bank, reached in zip(self.banks, self._reached(masks), strict=True):
            lost = ~reached & bank.normed
            if lost.any():
                found[bank.key] = torch.from_numpy(lost.nonzero()[0]).to(table.device)
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


def _normed(wiring: Wiring) -> NDArray[np.bool_]:
    """Return whether a norm takes statistics over the channels of a row, `[V + E]`."""
    found = np.zeros(wiring.variables + len(wiring.groups.extended), dtype=bool)
    for op in wiring.network.ops:
        source = op.operands.get("input", ("",))[0]
        if is_kind(op, *NORMS) and source in wiring.rows:
            found[wiring.rows[source][1].numpy()] = True
    return found


def mark_unreached(weight: Tensor, unreached: Tensor) -> None:
    """Let a masked weight remember which of its filters the image does not reach, by their indices."""
    setattr(weight, _MARK, unreached)


def stop_gradient(y: Tensor, unreached: Tensor, axis: int) -> Tensor:
    """Return a layer's output, with no gradient into channels that the image does not reach.

    Args:
        y: The output; values stay as they are.
        unreached: Their indices.
        axis: The dimension of the channels.
    """
    if (
        y.requires_grad
    ):  # filled by index: a quarter of the time of a mask, and it takes infinity too
        y.register_hook(lambda gradient: gradient.index_fill(axis, unreached, 0.0))  # type: ignore[no-untyped-call]
    return y


def stopped(
    function: Callable[..., object], y: Tensor, weight: object, unreached: Tensor | None = None
) -> Tensor:
    """Return what a filter bank gives, with no gradient into filters that its weight says are unreached.

    Args:
        function: Of torch: `conv2d`, `linear`, ...
        y: Its output, `[N, F, ...]` (`[..., F]` for `linear`).
        weight: Its weight, marked by `mark_unreached` or not.
        unreached: Indices of filters, used where it is not marked.
    """
    found: Tensor | None = getattr(weight, _MARK, unreached)
    if found is None:
        return y
    return stop_gradient(y, found, y.dim() - 1 if function is functional.linear else 1)


class StopGradients(TorchFunctionMode):
    """While it is active, calls of filter banks have no gradient into what the image does not reach."""

    def __init__(self, unmasked: Mapping[int, Tensor]) -> None:
        """Take note of the weights without masks.

        Args:
            unmasked: Indices of unreached filters by the `id` of a weight that no mask marks.
        """
        super().__init__()
        self.unmasked = unmasked

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Answer one call of torch."""
        keywords = dict(kwargs or {})
        y = func(*args, **keywords)
        if FUNCTIONS.get(func) != "conv" or not isinstance(y, Tensor):
            return y
        weight = keywords.get("weight", args[1] if len(args) > 1 else None)
        return stopped(func, y, weight, self.unmasked.get(id(weight)))
