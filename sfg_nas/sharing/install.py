"""Put the masks of the connection form into a user's network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sfg_nas.operations import BANKS, Kind, default_eps, is_centred
from sfg_nas.sharing.connections import ConnectionMask, TableSource
from sfg_nas.sharing.copies import called_weights, located
from sfg_nas.sharing.frozen import held_modules
from sfg_nas.sharing.gate_call import GateCall, GroupStatistics
from sfg_nas.sharing.guard import read_carefully
from sfg_nas.sharing.intercept import Intercepted, Passes, Replacement, intercept, other_calls
from sfg_nas.sharing.norms import affine, norm_axes, norm_eps, norm_segments, read_norm
from sfg_nas.sharing.rows import AllConnections
from sfg_nas.sharing.traced import BackboneWithHeads, TracedOp, is_kind, public_path
from sfg_nas.sharing.unreached import damped_bank
from sfg_nas.sharing.wiring import Wiring


class Tables(TableSource, Passes, Protocol):
    """The masks of the pass that is under way, and the passes counted."""


def install_masks(
    network: BackboneWithHeads, wiring: Wiring, table: Tables
) -> tuple[AllConnections | None, list[Intercepted]]:
    """Mask the weights of every reading layer, and intercept what masks cannot reach.

    Returns:
        What computes the connections of all masks, None if there are no masks; and what is intercepted.
    """
    called = called_weights(network, wiring.network)
    computed: dict[str, Replacement] = {}
    masked: list[tuple[Tensor, Tensor]] = []
    for layer in wiring.reading:
        if not layer.masked:
            continue
        mask = ConnectionMask(layer, table, len(masked))
        masked.append((layer.filters, layer.channels))
        module, attribute = located(network, wiring.network.static_target(layer.weight))
        if module is not None and layer.weight not in called:
            _with_own_class(module)
            parametrize.register_parametrization(module, attribute, mask, unsafe=True)
        else:
            computed.update(dict.fromkeys(layer.ops, _MaskedCall(mask)))
    norms = {
        op.name: _norm_call(op, wiring, table)
        for op in wiring.network.ops
        if is_kind(op, Kind.MIXING_NORM) and _mixes(op, wiring)
    }
    families: dict[str, Mapping[str, Replacement]] = {"conv": computed, "norm": norms}
    intercepted = [
        item
        for family, chosen in families.items()
        if chosen
        for item in _intercept_all(network, wiring, family, chosen, table)
    ]
    size = wiring.variables + len(wiring.groups.extended)
    return AllConnections(masked, size) if masked else None, intercepted


def install_gates(
    network: BackboneWithHeads, wiring: Wiring, table: TableSource
) -> dict[str, GateCall]:
    """Let the modules of gates run once for each group.

    Returns:
        What runs now, by the path of the module.
    """
    ops = [op for op in wiring.network.ops if op.operation == "own"]
    return {op.path: _run_for_groups(network, op, wiring, table) for op in ops}


def _run_for_groups(
    network: nn.Module, op: TracedOp, wiring: Wiring, table: TableSource
) -> GateCall:
    """Let the module of a gate run once for each group."""
    module = network.get_submodule(op.path)
    source = wiring.op(wiring.op(f"{op.path}:read").operands["self"][0])
    sources = wiring.rows[source.name][1].expand(source.shape[1])
    rows = wiring.rows[op.name][1].expand(op.shape[1])
    owners = wiring.owners(op.name)
    everyone = wiring.groups.owner_of_image()
    others = [owner for owner in owners if owner != everyone]
    statistics = GroupStatistics(module, others, held_modules(network))
    call = GateCall(
        module=module,
        forward=module.forward,
        table=table,
        sources=sources,
        rows=rows,
        reads=torch.from_numpy(wiring.groups.reads).float(),
        owners=owners,
        statistics=statistics if statistics.paths else None,
    )
    module.forward = call
    return call


def _with_own_class(module: nn.Module) -> None:
    """Give a module that has a parametrization of the user's a class of its own.

    A parametrized tensor is a property of the class, and copies have the class of the user's own module.
    """
    if parametrize.is_parametrized(module):
        kind = type(module)
        module.__class__ = type(kind.__name__, (kind,), {})


def _intercept_all(
    network: nn.Module,
    wiring: Wiring,
    family: str,
    chosen: Mapping[str, Replacement],
    clock: Passes,
) -> Iterator[Intercepted]:
    kinds = (Kind.MIXING_NORM,) if family == "norm" else BANKS
    calls: dict[str, list[Replacement | None]] = {}
    for op in wiring.network.ops:
        if is_kind(op, *kinds):
            calls.setdefault(op.path, []).append(chosen.get(op.name))
    for path, replacements in calls.items():
        public = public_path(path, wiring.groups.tasks)
        yield intercept(network.get_submodule(path), {family: replacements}, clock, public)


@dataclass
class _MaskedCall:
    """A call of a convolution or linear function whose weight is masked."""

    mask: ConnectionMask

    def __call__(self, original: Callable[..., Tensor], *args: object, **kwargs: object) -> Tensor:
        given = dict(zip(("input", "weight"), args, strict=False)) | kwargs
        weight = given.pop("weight")
        assert isinstance(weight, Tensor)
        x = given.pop("input")
        assert isinstance(x, Tensor)
        masked = self.mask(weight)
        if self.mask.table.careful:
            y = read_carefully(original, x, masked, *args[2:], **given)
        else:
            y = original(x, masked, *args[2:], **given)
        return damped_bank(original, y, masked)


def _mixes(op: TracedOp, wiring: Wiring) -> bool:
    """Return whether a norm takes statistics over channels that may have different owners."""
    axis, rows = wiring.rows[op.operands["input"][0]]
    return axis is not None and len(set(rows.tolist())) > 1 and norm_axes(op, axis) is not None


def _norm_call(op: TracedOp, wiring: Wiring, table: TableSource) -> _NormCall:
    axis, rows = wiring.rows[op.operands["input"][0]]
    assert axis is not None
    over = norm_axes(op, axis)
    assert over is not None
    reads = torch.from_numpy(wiring.groups.reads).float()
    segments = norm_segments(op, len(rows))
    path = public_path(op.path, wiring.groups.tasks)
    return _NormCall(table, rows, segments, reads, axis, over, op.operation, path)


def _full_precision(device: str) -> AbstractContextManager[object]:
    """Return a context without autocast, where the kind of device has any."""
    if torch.amp.is_autocast_available(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()


def _under_autocast(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


@dataclass
class _NormCall:
    """A call of a norm that mixes channels: each takes its statistics over what its owner may read."""

    table: TableSource
    rows: Tensor
    segments: Tensor
    reads: Tensor
    axis: int
    over: tuple[int, ...]
    operation: str
    path: str

    def __call__(self, original: Callable[..., Tensor], *args: object, **kwargs: object) -> Tensor:
        if original.__name__ != self.operation:
            raise other_calls(self.path, "norm", f"`{original.__name__}` for `{self.operation}`")
        centred = is_centred(self.operation)
        names = ("input", "normalized_shape", "weight", *(("bias",) if centred else ()), "eps")
        given = dict(zip(names, args, strict=False)) | kwargs
        x, weight, bias = given["input"], given.get("weight"), given.get("bias")
        eps = given.get("eps", default_eps(self.operation))
        assert isinstance(x, Tensor)
        assert weight is None or isinstance(weight, Tensor)
        assert bias is None or isinstance(bias, Tensor)
        kept = x.dtype  # of a network in half precision; autocast has norms in full
        if _under_autocast(x.device.type) and kept.itemsize < torch.float.itemsize:
            kept = torch.float
        with _full_precision(x.device.type):
            x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
            own = self.table()[0][self.rows.to(x.device)].to(x.dtype)
            y = read_norm(
                x,
                axis=self.axis,
                over=self.over,
                segments=self.segments.to(x),
                readers=self.reads.to(x) @ own.T,
                own=own,
                eps=norm_eps(eps, x.dtype),
                centred=centred,
                careful=self.table.careful,
            )
            axis = self.axis if self.operation == "group_norm" else None
            return affine(y, weight, bias, axis).to(kept)
