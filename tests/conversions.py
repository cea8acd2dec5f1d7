"""Converted networks, made once and used by many tests, and allocations with every oddity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from sfg_nas.allocation import Allocation
from sfg_nas.sharing import BackboneWithHeads, Supernet, convert, random_allocation
from sfg_nas.sharing.assignments import Assignments
from sfg_nas.sharing.copies import copied
from tests.networks import CASES, Sample, make, randomise

Variant = tuple[str, int | None, str | None]  # case, tasks, groups; None for the case's own

VARIANTS: tuple[Variant, ...] = (
    *((name, None, None) for name in CASES),
    ("vgg", 2, "specialists"),
    ("resnet", 2, "specialists"),
    ("vgg", 5, "specialists"),
    ("convnext", 2, "no-all"),
)


def label(variant: Variant) -> str:
    """Return a short name of a variant for test reports."""
    return "-".join(str(part) for part in variant if part is not None)


@dataclass(frozen=True)
class Pair:
    """One network in both relaxed forms, with the same weights.

    The weights were changed after the conversion, as training changes them.

    Attributes:
        original: The user's backbone and heads, with these weights.
        connections: The supernet in the connection form.
        streams: The supernet in the stream form.
        x: A batch of inputs.
    """

    original: BackboneWithHeads
    connections: Supernet
    streams: Supernet
    x: Tensor


@cache
def pair(name: str, tasks: int | None = None, groups: str | None = None) -> Pair:
    """Return the converted network of a variant; leave it with the weights it has.

    Args:
        name: A key of `CASES`.
        tasks: Number of tasks, None for the case's own.
        groups: A key of `GROUPS`, None for the case's own.
    """
    return pair_of(make(name, tasks=tasks, groups=groups))


def pair_of(sample: Sample) -> Pair:
    """Return the converted network of a sample, with changed weights."""
    connections = convert(sample.backbone, sample.heads, sample.x, sample.groups)
    randomise(connections.network)
    original = BackboneWithHeads(sample.backbone, sample.heads)
    original.load_state_dict(connections.plain_state())
    return Pair(original, connections, as_streams(connections, original), sample.x)


def as_streams(supernet: Supernet, original: BackboneWithHeads) -> Supernet:
    """Return the stream form of a supernet over the same wiring: no second trace is needed."""
    network = copied(original)
    start = supernet.assignments.probabilities().detach()
    assignments = Assignments(start, len(supernet.groups.extended))
    return Supernet(network, supernet.wiring, assignments, relaxation="streams")


def one_group(supernet: Supernet, group: int) -> Allocation:
    """Return the allocation that gives every filter to one group."""
    return supernet.wiring.allocation(torch.full((supernet.wiring.variables,), group))


def everything_shared(supernet: Supernet) -> Allocation:
    """Return the allocation that gives every filter to all tasks."""
    return one_group(supernet, supernet.groups.sets.index(supernet.groups.everyone))


def layer_by_layer(supernet: Supernet) -> Allocation:
    """Return the allocation in which each layer is all one group, another than the layer before.

    Most filters then read nothing (starved) or are read by nothing (dead), most groups are empty.
    """
    chosen = torch.full((supernet.wiring.variables,), -1)
    for depth, rows in enumerate(supernet.wiring.layers.values()):
        free = rows[chosen[rows] < 0]
        chosen[free] = depth % len(supernet.groups)
    return supernet.wiring.allocation(chosen)


def uniform_allocation(supernet: Supernet, seed: int) -> Allocation:
    """Return an allocation drawn without regard to whether a head can be reached."""
    generator = torch.Generator().manual_seed(seed)
    size = (supernet.wiring.variables,)
    draw = torch.randint(len(supernet.groups), size, generator=generator)
    return supernet.wiring.allocation(draw)


def allocations(supernet: Supernet) -> dict[str, Allocation]:
    """Return allocations of many kinds by name."""
    return {
        "random": random_allocation(supernet, seed=3),
        "uniform": uniform_allocation(supernet, seed=1),
        "layer by layer": layer_by_layer(supernet),
        "first group": one_group(supernet, 0),
    }
