"""Modules that look at all channels of a map and give a gate, or all channels again: run once for each group.

A spatial attention takes the mean and the maximum over channels at each place (Woo et al. 2018, "CBAM"), an efficient
channel attention convolves along the channels (Wang et al. 2020, "ECA-Net"), a local response norm divides by the squares
of neighbours (Krizhevsky et al. 2012), the gate of an attention U-Net has one number for all channels (Oktay et al. 2018).
As single operations these mix channels in a way that no mask on weights restricts, so that all filters before them would
be tied to one group. As a module they are run once for each group, on what it may read and zeros elsewhere, as a
convolution with masked weights reads it, and each channel takes the result for its own group. Their few weights are those
of all groups in the supernet, batch statistics are each group's own; in a fixed network each group has its own weights.

In the trace such a module begins with a `read`, and ends with an `own`. What lies between has no channels that belong to
anyone: it is there once for each group that owns channels of what the gate is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from sfg_nas.groups import Groups
from sfg_nas.operations import BANKS, Kind
from sfg_nas.sharing.called import called_once
from sfg_nas.sharing.channels import ChannelMap, follow_channels
from sfg_nas.sharing.frozen import STATISTICS
from sfg_nas.sharing.limits import Limits
from sfg_nas.sharing.macs import macs_of
from sfg_nas.sharing.traced import (
    BATCH,
    BackboneWithHeads,
    TracedNetwork,
    TracedOp,
    conv_groups,
    is_kind,
)

_MOST_SHARE = 0.1
"""Of a network's MACs that all gates together may have: they are computed once for each group."""
_ROUNDS = 3
_ENDS = ("read", "own")
_MIXING = (Kind.REDUCE, Kind.ALONG, Kind.WINDOW, Kind.MIX, Kind.MIXING_NORM)


@dataclass(frozen=True)
class _Gate:
    """A module whose operations are to be there once for each group.

    Attributes:
        path: Of the module.
        source: Operation that it reads.
        result: Its operation that others read.
        like: Operation whose channels' groups are those of the result.
        inside: Names of its operations.
    """

    path: str
    source: str
    result: str
    like: str
    inside: frozenset[str]


def with_gates(
    network: BackboneWithHeads,
    traced: TracedNetwork,
    example: Tensor,
    groups: Groups,
    limits: Limits,
    weights: Mapping[str, Tensor],
) -> ChannelMap:
    """Return the units of a traced network in which modules that would tie channels are gates.

    A module becomes one if it takes one map and gives one of as many channels, or of one channel that is multiplied with (or
    added to, ...) a map; if it is called once; and if more choices are won than it has filters, which are then searched no
    more. All of them together have at most a tenth of the network's MACs.

    Args:
        network: Backbone and heads; left as they are.
        traced: Its operations.
        example: An input `[N, C, ...]`.
        groups: The groups.
        limits: What masks cannot do in this network.
        weights: Values of all filter banks by static key, for their shapes.

    Raises:
        ConversionError: The channels of an operation cannot be followed.
    """
    best = follow_channels(traced, groups, limits)
    if len(groups.tasks) == 1 or not any(_suspected(traced, best, limits)):
        return best
    shapes = {op.name: op.shape for op in traced.ops}
    macs = {op.name: macs_of(op, shapes, weights) for op in traced.ops}
    called = called_once(network, example)
    while True:
        finder = _Finder(network, traced, called, macs)
        found = _with_all(finder, best, groups, limits)
        wrong = {
            op.path for op in finder.traced.ops if op.operation in _ENDS and op.name in found.ties
        }
        if not wrong:  # or else channels lie along another dimension
            return found if _choices(found) > _choices(best) else best
        called -= wrong


def _with_all(finder: _Finder, found: ChannelMap, groups: Groups, limits: Limits) -> ChannelMap:
    """Return the units with all gates that can be found, from those without any."""
    for _ in range(_ROUNDS):
        before = finder.traced
        for name, path in _suspected(before, found, limits):
            finder.try_modules(name, path, found.ties)
        if finder.traced is before:
            break
        found = follow_channels(finder.traced, groups, limits)
    return found


def _choices(channels: ChannelMap) -> int:
    """Return the number of independent choices."""
    roots = [channels.roots[units] for units in channels.layers.values()]
    return len(torch.unique(torch.cat(roots))) if roots else 0


def _suspected(
    traced: TracedNetwork, channels: ChannelMap, limits: Limits
) -> Iterator[tuple[str, str]]:
    """Give the names of operations of the backbone that tie channels by mixing them, each with paths where the mixing may begin."""
    ops = {op.name: op for op in traced.ops}
    for op in traced.ops:
        if not channels.ties.get(op.name) or op.head is not None or op.name in traced.gates:
            continue
        if op.name in limits.hidden:
            continue
        if is_kind(op, *BANKS):  # over places, not over channels
            if conv_groups(op) == 1 and op.statics["weight"] not in limits.mixed:
                yield op.name, op.path
        elif is_kind(op, *_MIXING):
            yield op.name, op.path
        elif is_kind(op, Kind.POINTWISE):
            for narrow in (ops[s] for s in op.sources):
                if _is_broadcast(narrow, op):
                    yield op.name, narrow.path
                    yield op.name, op.path


def _is_broadcast(narrow: TracedOp, op: TracedOp) -> bool:
    """Return whether an operand's one channel meets several."""
    same = len(narrow.shape) == len(op.shape) > 1
    return same and narrow.shape[1] == 1 < op.shape[1]


class _Finder:
    """Puts gates into a traced network, one after another.

    Attributes:
        traced: The network with the gates found so far.
    """

    def __init__(
        self,
        network: BackboneWithHeads,
        traced: TracedNetwork,
        called: set[str],
        macs: Mapping[str, int],
    ) -> None:
        self.network, self.traced, self.called, self.macs = network, traced, called, macs
        self.left = _MOST_SHARE * sum(macs.values())

    def try_modules(self, name: str, path: str, ties: Mapping[str, int]) -> None:
        """Make the smallest module around an operation a gate that may be one.

        Args:
            name: Of the operation.
            path: Of the innermost module.
            ties: By how many choices fewer each operation leaves.
        """
        while path and path != "backbone" and name not in self.traced.gates:
            gate = self._gate(path) if path in self.called else None
            if gate is not None:
                readers = [op.name for op in self.traced.ops if gate.result in op.sources]
                won = sum(ties.get(n, 0) for n in {*gate.inside, *readers, name})
                cost = sum(self.macs[n] for n in gate.inside)
                if won > self._filters(gate) and cost <= self.left:
                    self.left -= cost
                    self.traced = _inserted(self.traced, gate)
                    return
            path = path.rpartition(".")[0]

    def _filters(self, gate: _Gate) -> int:
        banks = [op for op in self.traced.ops if op.name in gate.inside and is_kind(op, *BANKS)]
        return sum(op.shape[-1] if is_kind(op, Kind.LINEAR) else op.shape[1] for op in banks)

    def _gate(self, path: str) -> _Gate | None:
        """Return a module as a gate, None if it cannot be one."""
        traced = self.traced
        ops = [op for op in traced.ops if op.path == path or op.path.startswith(f"{path}.")]
        inside = frozenset(op.name for op in ops)
        sources = {s for op in ops for s in op.sources} - inside
        ends = {*traced.outputs, *traced.features}
        results = [op for op in ops if op.name in ends or self._readers(op, inside)]
        if len(sources) != 1 or len(results) != 1 or inside & traced.gates.keys():
            return None
        source, result = next(op for op in traced.ops if op.name in sources), results[0]
        like = self._like(source, result, inside)
        if like is None or not _is_map(source) or source.name in traced.gates:
            return None
        if any(op.head is not None for op in ops) or not all(map(self._follows, ops)):
            return None
        keys = {key for op in ops for key in op.statics.values()}
        elsewhere = {k for op in traced.ops if op.name not in inside for k in op.statics.values()}
        return None if keys & elsewhere else _Gate(path, source.name, result.name, like, inside)

    def _readers(self, op: TracedOp, inside: frozenset[str]) -> list[TracedOp]:
        return [o for o in self.traced.ops if o.name not in inside and op.name in o.sources]

    def _like(self, source: TracedOp, result: TracedOp, inside: frozenset[str]) -> str | None:
        """Return the operation whose channels a gate is for: what it reads, or what its one channel is broadcast over."""
        if result.free != 0 or result.item is not None or result.shape[0] != BATCH:
            return None
        if len(result.shape) == len(source.shape) and result.shape[1:2] == source.shape[1:2]:
            return source.name
        readers = self._readers(result, inside)
        features = (*self.traced.features, *self.traced.outputs)
        if result.name in features or not all(
            is_kind(op, Kind.POINTWISE) and _is_broadcast(result, op) for op in readers
        ):
            return None
        ops = {op.name: op for op in self.traced.ops}
        wide = [s for s in readers[0].sources if ops[s].shape[1:2] == readers[0].shape[1:2]]
        wide = [s for s in wide if len(ops[s].shape) == len(result.shape) and _is_map(ops[s])]
        same = all(op.shape[1] == readers[0].shape[1] for op in readers)
        outside = [s for s in wide if s not in inside and s not in self.traced.gates]
        return outside[0] if outside and same else None

    def _follows(self, op: TracedOp) -> bool:
        """Return whether an operation keeps no statistics, or a norm of torch does."""
        if "running_mean" not in op.statics:
            return True
        module = self.network.get_submodule(op.path)
        held = {self.traced.static_target(op.statics[name]) for name in STATISTICS}
        return isinstance(module, _BatchNorm) and held == {f"{op.path}.{n}" for n in STATISTICS}


def _is_map(op: TracedOp) -> bool:
    """Return whether channels lie along the second dimension, examples along the first."""
    return op.free == 0 and op.shape[0] == BATCH and op.shape[1:2] > (1,) and op.head is None


def _inserted(traced: TracedNetwork, gate: _Gate) -> TracedNetwork:
    """Return the network with a `read` before a gate and an `own` behind it."""
    ops = {op.name: op for op in traced.ops}
    source, result, like = ops[gate.source], ops[gate.result], ops[gate.like]
    read = TracedOp(
        name=f"{gate.path}:read",
        operation="read",
        path=gate.path,
        operands={"self": (source.name,)},
        statics={},
        settings={},
        item=None,
        shape=source.shape,
        head=None,
    )
    own = replace(
        read,
        name=f"{gate.path}:own",
        operation="own",
        operands={"self": (result.name,), "like": (like.name,)},
        shape=(result.shape[0], like.shape[1], *result.shape[2:]),
    )
    found: list[TracedOp] = []
    for op in traced.ops:
        within = op.name in gate.inside
        if not within and result.name in op.sources and own not in found:
            found.append(own)
        names = {source.name: read.name} if within else {result.name: own.name}
        operands = {k: tuple(names.get(s, s) for s in v) for k, v in op.operands.items()}
        found.append(replace(op, operands=operands))
        if op is source:
            found.append(read)
    if own not in found:
        found.append(own)
    features = tuple(own.name if name == result.name else name for name in traced.features)
    inside = dict.fromkeys((read.name, *gate.inside), like.name)
    return replace(traced, ops=tuple(found), features=features, gates={**traced.gates, **inside})
