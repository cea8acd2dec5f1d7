"""What masks cannot do in a network, which ties decide instead."""

from __future__ import annotations

from dataclasses import dataclass, field

from sfg_nas.sharing.common import Common


@dataclass(frozen=True)
class Limits:
    """What masks cannot do in a network, which ties decide instead.

    Attributes:
        mixed: Keys of weights whose filters depend on one another (see `mixed_weights`).
        called: Keys of weights that are masked where they are used (see `called_weights`).
        hidden: Operations that cannot be replaced (see `hidden_operations`).
        common: What operations have in common with others (see `common_values`).
    """

    mixed: frozenset[str] = frozenset()
    called: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    common: Common = field(default_factory=Common)


NO_LIMITS = Limits()
