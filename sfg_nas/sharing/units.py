"""Units, their ties, and where each unit's values lie in a tensor.

A unit is what is given to a group: one filter, one channel of the image, or one channel of a
head. Units whose values meet position by position (in a residual add, say) are tied and share one
assignment, kept as a union-find forest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SEARCHABLE = -1


def broadcast_shape(*shapes: Sequence[int]) -> tuple[int, ...]:
    """Return the shape that shapes of one length broadcast to."""
    return tuple(max(sizes) for sizes in zip(*shapes, strict=True))


class HeadNeedsGateError(Exception):
    """A head mixes or passes on features that it may read only in part. Internal: see `channels`."""

    def __init__(self, head: int) -> None:
        super().__init__(head)
        self.head = head


class OwnerConflictError(Exception):
    """Units of two different fixed owners would be tied. Internal: the analysis reacts to it."""

    def __init__(self, first: int, second: int) -> None:
        """Remember the two owners (extended group indices, or `SEARCHABLE`)."""
        super().__init__(first, second)
        self.owners = (first, second)


class Units:
    """A growing set of units, tied by union-find.

    Attributes:
        owners: For each root, the extended index of its fixed owner or `SEARCHABLE`.
        changed: Whether a tie has been added since the flag was last cleared.
        merged: How many choices of a group for filters ties have taken away.
    """

    def __init__(self, heads: frozenset[int]) -> None:
        """Start empty.

        Args:
            heads: Extended owner indices of the heads, which must not be tied to others.
        """
        self.parent: list[int] = []
        self.owners: list[int] = []
        self.heads = heads
        self.changed = False
        self.merged = 0
        self._chooses: list[bool] = []  # of a root: whether its set may choose a group for a filter

    def new(self, count: int, owner: int = SEARCHABLE, *, filters: bool = False) -> Tensor:
        """Return `count` fresh units `[count]`: of filters, or of other channels, such as zeros that are padded."""
        first = len(self.parent)
        self.parent.extend(range(first, first + count))
        self.owners.extend([owner] * count)
        self._chooses.extend([filters and owner == SEARCHABLE] * count)
        return torch.arange(first, first + count)

    def find(self, unit: int) -> int:
        """Return the root of a unit."""
        parent = self.parent
        while parent[unit] != unit:
            parent[unit] = parent[parent[unit]]
            unit = parent[unit]
        return unit

    def owners_of(self, labels: Tensor) -> set[int]:
        """Return the fixed owners of units, with `SEARCHABLE` if any has none."""
        return {self.owners[self.find(unit)] for unit in labels.reshape(-1).tolist()}

    def may_differ(self, labels: Tensor) -> bool:
        """Return whether units may belong to different groups."""
        owners = self.owners_of(labels)
        return SEARCHABLE in owners or len(owners) > 1

    def roots(self) -> Tensor:
        """Return the root of every unit, `[U]`."""
        return torch.tensor([self.find(u) for u in range(len(self.parent))], dtype=torch.long)

    def tie(self, first: Tensor, second: Tensor) -> None:
        """Tie units of two label tensors position by position, with broadcasting.

        Raises:
            OwnerConflictError: A head's unit meets one that is not that head's.
        """
        if first is second:
            return
        shape = broadcast_shape(first.shape, second.shape)
        one = first.expand(shape).reshape(-1).tolist()
        two = second.expand(shape).reshape(-1).tolist()
        for u, v in dict.fromkeys(zip(one, two, strict=True)):
            self._union(u, v)

    def _union(self, u: int, v: int) -> None:
        u, v = self.find(u), self.find(v)
        if u == v:
            return
        low, high = min(u, v), max(u, v)
        one, two = self.owners[low], self.owners[high]
        if one != two and (one in self.heads or two in self.heads):
            raise OwnerConflictError(one, two)
        self.parent[high] = low
        self.owners[low] = max(one, two)  # a fixed owner (the image's) wins over SEARCHABLE
        self.changed = True
        choices = self._chooses[low] + self._chooses[high]
        self._chooses[low] = choices > 0 and self.owners[low] == SEARCHABLE
        self.merged += choices - self._chooses[low]


@dataclass(frozen=True)
class Layout:
    """Which unit each position of a tensor belongs to.

    Attributes:
        labels: Unit labels, kept at size 1 along every dimension where they do not vary.
        shape: The tensor's full shape, example batch included.
    """

    labels: Tensor
    shape: tuple[int, ...]

    @classmethod
    def of(cls, labels: Tensor) -> Layout:
        """Return the layout of a full label tensor."""
        shape = tuple(labels.shape)
        for dim, size in enumerate(shape):
            if size > 1:
                first = labels.narrow(dim, 0, 1)
                if labels.stride(dim) == 0 or bool((labels == first).all()):
                    labels = first
        return cls(labels.clone(), shape)

    @classmethod
    def along(cls, units: Tensor, axis: int, shape: tuple[int, ...]) -> Layout:
        """Return the layout in which units `[n]` follow one axis of size n."""
        view = [1] * len(shape)
        view[axis] = len(units)
        return cls.of(units.view(view).expand(shape))

    @property
    def axes(self) -> tuple[int, ...]:
        """The dimensions along which labels vary."""
        return tuple(d for d, size in enumerate(self.labels.shape) if size > 1)

    def variety(self, axis: int) -> int:
        """Return how many different labels lie along one axis, at the start of all others."""
        return len(
            set(self.labels.movedim(axis, -1).reshape(-1)[: self.labels.shape[axis]].tolist())
        )

    @property
    def full(self) -> Tensor:
        """The labels at the tensor's full shape (a view)."""
        return self.labels.expand(self.shape)

    def units_along(self, axis: int) -> Tensor:
        """Return the labels along one axis `[n]`; they must not vary along others."""
        assert set(self.axes) <= {axis}, (self.axes, axis)
        return self.labels.reshape(-1).expand(self.shape[axis]).contiguous()

    def under(self, units: Units) -> Layout:
        """Return the layout with every label replaced by its root as it is now: those of no other units are looked up."""
        own, places = torch.unique(self.labels, return_inverse=True)
        roots = torch.tensor([units.find(unit) for unit in own.tolist()], dtype=torch.long)
        small = Layout.of(roots[places])
        return Layout(small.labels, self.shape)
