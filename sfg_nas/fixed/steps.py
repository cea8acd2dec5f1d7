"""The steps a fixed network takes, and how long each value must be kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

Run = Callable[[list[list[Tensor]], bool], Tensor]  # a node's operands, each a list; training


@dataclass(frozen=True)
class Step:
    """One node made runnable: where its inputs lie and what computes it.

    Attributes:
        node: Name of the node whose value it gives, empty if it is none's alone.
        sources: Places of the values of each operand.
        target: Place of its own value.
        run: Computes it.
        free: Places of values that no later step needs.
        damping: What gradients of its value are multiplied with in training (see `sharing.unreached`).
    """

    node: str
    sources: tuple[tuple[int, ...], ...]
    target: int
    run: Run
    free: tuple[int, ...] = ()
    damping: float = 1.0


def with_lifetimes(steps: Sequence[Step], kept: Collection[int]) -> list[Step]:
    """Return the steps, each of which frees what no later one needs, but for what is kept."""
    last: dict[int, int] = {}
    for i, step in enumerate(steps):
        last.update(dict.fromkeys((p for places in step.sources for p in places), i))
    return [
        replace(step, free=tuple(p for p, at in last.items() if at == i and p not in kept))
        for i, step in enumerate(steps)
    ]
