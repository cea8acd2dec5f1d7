"""Follow every channel through a traced network: who feeds whom, and who must agree.

Each tensor gets a `Layout` of units. A convolution or linear layer reads units and gives new ones;
position-by-position operations tie the units that meet; data movement is followed by running the
same operation on the labels. Where an operation mixes channels in a way that no mask on weights can
restrict (a head of an attention, a mean over channels), the channels it mixes are tied: they are given
to one group together, so that the reading rule holds there trivially. Ties found late change what
was seen early, so the walk is repeated until nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sfg_nas.groups import Groups
from sfg_nas.sharing.exported import shared_heads
from sfg_nas.sharing.labelling import Labeller
from sfg_nas.sharing.limits import NO_LIMITS, Limits
from sfg_nas.sharing.over_places import OverPlacesError, without_bank
from sfg_nas.sharing.traced import TracedNetwork, TracedOp
from sfg_nas.sharing.units import HeadNeedsGateError, Layout, OwnerConflictError

_LIMIT = 50  # walks until ties settle; each walk ties at least two units, few are ever needed


@dataclass(frozen=True)
class ChannelMap:
    """The units of a network and where they lie.

    Attributes:
        network: The traced operations, with a `read` before each head that needs one.
        layouts: Unit labels (roots) of every operation's output.
        layers: Searchable layers: public name to the units of its filters `[F]`.
        weights: Static key of every filter bank to its layer's public name, heads included.
        roots: Root of every unit `[U]`.
        owners: Fixed owner of every root, or `SEARCHABLE` `[U]`.
        gated: Heads that read a copy of the features in which forbidden channels are zero.
        ties: By how many choices fewer each operation leaves, those that leave fewer.
    """

    network: TracedNetwork
    layouts: Mapping[str, Layout]
    layers: Mapping[str, Tensor]
    weights: Mapping[str, str]
    roots: Tensor
    owners: Tensor
    gated: frozenset[int]
    ties: Mapping[str, int]


def follow_channels(
    network: TracedNetwork, groups: Groups, limits: Limits = NO_LIMITS
) -> ChannelMap:
    """Return the units of a traced network.

    Args:
        network: The traced backbone with heads.
        groups: The groups, whose extended owners fix the image and the heads.
        limits: What masks cannot do in this network.

    Raises:
        ConversionError: The channels of an operation cannot be followed.
    """
    gated: set[int] = set()
    heads = [groups.owner_of_head(t) for t in range(len(groups.tasks))]
    while True:
        seen = _insert_reads(network, gated)
        try:
            return replace(_settle(seen, groups, limits), gated=frozenset(gated))
        except OverPlacesError as found:
            network = without_bank(network, found.name)
        except HeadNeedsGateError as need:
            if need.head in gated:
                raise shared_heads([network.tasks[need.head]]) from need
            gated.add(need.head)
        except OwnerConflictError as conflict:
            concerned = {heads.index(o) for o in conflict.owners if o in heads}
            if concerned <= gated:  # what they give is one thing
                tasks = [network.tasks[t] for t in sorted(concerned)]
                raise shared_heads(tasks or network.tasks) from conflict
            gated.update(concerned)


def _insert_reads(network: TracedNetwork, gated: set[int]) -> TracedNetwork:
    """Return the network in which gated heads read the backbone through `read` operations."""
    if not gated:
        return network
    by_name = {op.name: op for op in network.ops}
    ops: list[TracedOp] = []
    made: dict[tuple[int, str], str] = {}

    def through(head: int, source: str) -> str:
        if by_name[source].head is not None:
            return source
        if (head, source) not in made:
            name = f"heads.{network.tasks[head]}:read({source})"
            shape = by_name[source].shape
            path = f"heads.{head}"
            read = TracedOp(name, "read", path, {"self": (source,)}, {}, {}, None, shape, head)
            ops.append(read)
            made[head, source] = name
        return made[head, source]

    for op in network.ops:
        if op.head in gated:
            head = op.head
            operands = {k: tuple(through(head, s) for s in v) for k, v in op.operands.items()}
            ops.append(replace(op, operands=operands))
        else:
            ops.append(op)
    outputs = tuple(
        through(t, name) if t in gated else name for t, name in enumerate(network.outputs)
    )
    return replace(network, ops=tuple(ops), outputs=outputs)


def _settle(network: TracedNetwork, groups: Groups, limits: Limits) -> ChannelMap:
    labeller = Labeller(network, groups, limits)
    settle(labeller, _check_outputs)
    return ChannelMap(
        network,
        dict(labeller.layouts),
        labeller.layers,
        labeller.weights,
        labeller.units.roots(),
        torch.tensor(labeller.units.owners),
        frozenset(),
        {name: count for name, count in labeller.ties.items() if count},
    )


def settle(labeller: Labeller, check: Callable[[Labeller], None] = lambda _: None) -> None:
    """Label a network again and again until no new tie is found.

    Args:
        labeller: Of the network; it holds the layouts afterwards.
        check: Called after each walk.
    """
    for _ in range(_LIMIT):
        labeller.units.changed = False
        for op in labeller.network.ops:
            before = labeller.units.merged
            labeller.layouts[op.name] = labeller.label(op)
            labeller.ties[op.name] += labeller.units.merged - before
        check(labeller)
        if not labeller.units.changed:
            return
    raise AssertionError("ties did not settle")


def _check_outputs(labeller: Labeller) -> None:
    """Check that each output belongs to its task alone."""
    for task, name in enumerate(labeller.network.outputs):
        if not labeller.owned_by_head(labeller.layouts[name], task):
            raise HeadNeedsGateError(task)
