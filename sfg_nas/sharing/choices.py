"""How much of a network a search can decide, and which operations leave it less."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

_LISTED = 3
_NEARLY_NONE = 0.05


@dataclass(frozen=True)
class Tie:
    """An operation at which filters meet that must go to one group.

    Attributes:
        path: Module path inside the backbone, `heads.<task>`, or empty for the backbone's own `forward`.
        operation: Name of the operation.
        fewer: How many choices fewer it leaves. A tie counts for the first operation that makes it.
    """

    path: str
    operation: str
    fewer: int


@dataclass(frozen=True)
class Choices:
    """What a search may decide.

    Attributes:
        filters: Filters of all convolutions and linear layers of the backbone.
        free: Independent choices of a group: sets of tied filters, but for those that belong to all tasks anyway.
        ties: What ties filters, in the order of execution.
    """

    filters: int
    free: int
    ties: tuple[Tie, ...]

    @property
    def few(self) -> bool:
        """Whether ties leave less than a twentieth of the filters to choose for."""
        return self.free < _NEARLY_NONE * self.filters

    def __str__(self) -> str:
        """Return one line for a reader: the counts, and the operations that cost the most choices."""
        text = f"{self.filters:,} filters, {self.free:,} free choices of a group"
        by_operation: dict[str, list[Tie]] = defaultdict(list)
        for tie in self.ties:
            by_operation[tie.operation].append(tie)
        most = sorted(by_operation.values(), key=lambda ties: -_fewer(ties))
        parts = [f"{_fewer(ties):,} fewer by {_where(ties)}" for ties in most[:_LISTED]]
        rest = sum(_fewer(ties) for ties in most[_LISTED:])
        if rest:
            parts.append(f"{rest:,} by others")
        return f"{text}; {', '.join(parts)}" if parts else text


def _fewer(ties: list[Tie]) -> int:
    return sum(tie.fewer for tie in ties)


def _where(ties: list[Tie]) -> str:
    """Return an operation, the module where it ties most, and in how many others it does."""
    most = max(ties, key=lambda tie: tie.fewer)
    others = len({tie.path for tie in ties}) - 1
    place = f"`{most.path}`" if most.path else "the backbone's `forward`"
    return f"{most.operation} in {place}" + (f" and {others} more" if others else "")
