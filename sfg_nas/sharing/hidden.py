"""Operations that are run where no replacement can reach them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sfg_nas.operations import BANKS, Kind
from sfg_nas.sharing.copies import copied
from sfg_nas.sharing.intercept import Intercepted, Replacement, intercept
from sfg_nas.sharing.traced import BATCH, BackboneWithHeads, TracedNetwork, TracedOp, is_kind


@dataclass
class _OnePass:
    """A clock that stands still: the whole network is run once."""

    passes: int = 0


def hidden_operations(
    network: BackboneWithHeads, traced: TracedNetwork, example: Tensor, called: frozenset[str]
) -> frozenset[str]:
    """Return the names of operations that cannot be masked or replaced.

    A norm that mixes channels and a weight that is computed are handled where a module calls the
    function (see `intercept`). A fused kernel, or a library function that calls others, hides
    those calls. Found by running the network once and counting.

    Args:
        network: Backbone and heads; left as they are.
        traced: The operations of the network.
        example: An input `[N, ...]`.
        called: Keys of weights that are masked where they are used.
    """
    families: dict[str, dict[str, list[TracedOp]]] = {}
    needed = False
    for op in traced.ops:
        family = "norm" if is_kind(op, Kind.MIXING_NORM) else "conv" if is_kind(op, *BANKS) else ""
        if family:
            families.setdefault(op.path, {}).setdefault(family, []).append(op)
            needed = needed or family == "norm" or op.statics.get("weight") in called
    if not needed:
        return frozenset()
    twin = copied(network).eval()
    clock = _OnePass()
    seen: dict[str, Intercepted] = {}
    for path, ops in families.items():
        through: dict[str, list[Replacement | None]] = {f: [None] * len(o) for f, o in ops.items()}
        seen[path] = intercept(twin.get_submodule(path), through, clock)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        twin(example[:1].expand(BATCH, *example.shape[1:]).contiguous())
    return frozenset(
        op.name
        for path, ops in families.items()
        for family, members in ops.items()
        if seen[path].done.get(family, 0) != len(members)
        for op in members
    )
