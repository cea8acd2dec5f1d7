"""A module of the user's that looks at all channels, run once for each group (see `gates`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sfg_nas.sharing.connections import TableSource
from sfg_nas.sharing.frozen import STATISTICS
from sfg_nas.sharing.guard import times

_BUFFERS = (*STATISTICS, "num_batches_tracked")


class GroupStatistics(nn.Module):
    """Running statistics of the batch norms of a gate for every owner but one, who has those of the norms themselves.

    Attributes:
        paths: Of the norms, in the module of the gate.
        places: Owner (extended index) to its copies' place.
        copies: For each owner one norm without parameters per path.
    """

    def __init__(
        self, module: nn.Module, owners: list[int], held: Collection[nn.Module] = ()
    ) -> None:
        """Copy the statistics once per owner.

        Args:
            module: Of the gate.
            owners: Those that get copies.
            held: Norms that stay in evaluation mode, whose statistics never move.
        """
        super().__init__()
        norms = {
            path: norm
            for path, norm in module.named_modules()
            if isinstance(norm, _BatchNorm) and norm.track_running_stats and norm not in held
        }
        self.paths = tuple(norms)
        self.places = {owner: place for place, owner in enumerate(owners)}
        self.copies = nn.ModuleList(nn.ModuleList(map(_bare, norms.values())) for _ in owners)

    @contextmanager
    def of(self, owner: int, module: nn.Module) -> Iterator[None]:
        """Let the norms use, and move, the statistics of an owner.

        Args:
            owner: Its extended index.
            module: Of the gate.
        """
        if owner not in self.places:
            yield
            return
        pairs = list(zip(self._norms(module), self._copies(owner), strict=True))
        own = [dict(norm._buffers) for norm, _ in pairs]
        for norm, copy in pairs:
            norm._buffers.update(copy._buffers)
        try:
            yield
        finally:
            for (norm, copy), kept in zip(pairs, own, strict=True):
                copy._buffers.update({name: norm._buffers[name] for name in _BUFFERS})
                norm._buffers.update(kept)

    def moving(self, module: nn.Module) -> bool:
        """Return whether a norm is in training mode, so that statistics follow the images."""
        return any(norm.training for norm in self._norms(module))

    def values(self, module: nn.Module, owners: int) -> Mapping[str, Tensor]:
        """Return the statistics of all owners `[E, C]` by their name in the module.

        Args:
            module: Of the gate.
            owners: E.
        """
        found = {}
        for index, (path, norm) in enumerate(zip(self.paths, self._norms(module), strict=True)):
            each = [
                self._copies(owner)[index] if owner in self.places else norm
                for owner in range(owners)
            ]
            for name in STATISTICS:
                key = f"{path}.{name}".lstrip(".")
                found[key] = torch.stack([norm.get_buffer(name) for norm in each])
        return found

    def _norms(self, module: nn.Module) -> list[nn.Module]:
        return [module.get_submodule(path) for path in self.paths]

    def _copies(self, owner: int) -> list[nn.Module]:
        copies = self.copies[self.places[owner]]
        assert isinstance(copies, nn.ModuleList)
        return list(copies)


def _bare(norm: _BatchNorm) -> _BatchNorm:
    """Return a norm with copies of the statistics of another."""
    like = norm.running_mean
    copy = _BatchNorm(norm.num_features, norm.eps, norm.momentum, affine=False)
    if like is not None:
        copy.to(like)
    copy.load_state_dict({name: norm.get_buffer(name) for name in _BUFFERS})
    return copy


@dataclass
class GateCall:
    """The forward of such a module; an object, so that copies run their own module.

    Attributes:
        module: The module.
        forward: Of the module, from `[N, C, ...]` to `[N, F, ...]` or `[N, 1, ...]`.
        table: The masks of the pass that is under way.
        sources: Row of the table for each channel that is read `[C]`.
        rows: Row of the table for each channel that the result is for `[F]`.
        reads: The reading rule over the extended owners `[E, E]`.
        owners: Who may own channels that the result is for.
        statistics: Of its batch norms, None without any.
    """

    module: nn.Module
    forward: Callable[[Tensor], Tensor]
    table: TableSource
    sources: Tensor
    rows: Tensor
    reads: Tensor
    owners: list[int]
    statistics: GroupStatistics | None

    def __call__(self, x: Tensor) -> Tensor:
        """Return what the module gives for each channel's own group `[N, F, ...]`."""
        table, reads = self.table()[0].to(x.dtype), self.reads.to(x)
        own = table[self.rows.to(x.device)]
        seen = table[self.sources.to(x.device)] @ reads.T
        owners, careful = self._present(own), self.table.careful
        given = [
            self._run(owner, times(x, _along(seen[:, owner], x), careful=careful))
            for owner in owners
        ]
        if careful:
            parts = zip(given, owners, strict=True)
            masked = (times(y, _along(own[:, g], y).to(y.dtype), careful=True) for y, g in parts)
            return torch.stack(list(masked)).sum(0)
        if given[0].shape[1] == 1 < len(own):
            y = torch.cat(given, 1)
            mixed = own[:, owners].to(y.dtype) @ y.reshape(*y.shape[:2], -1)
            return mixed.view(len(y), len(own), *y.shape[2:])
        result = given[0] * _along(own[:, owners[0]], given[0]).to(given[0].dtype)
        for y, owner in zip(given[1:], owners[1:], strict=True):
            result = torch.addcmul(result, y, _along(own[:, owner], y).to(y.dtype))
        return result

    def _run(self, owner: int, x: Tensor) -> Tensor:
        if self.statistics is None:
            return self.forward(x)
        with self.statistics.of(owner, self.module):
            return self.forward(x)

    def _present(self, own: Tensor) -> list[int]:
        """Return the owners of some channel; all that there may be where that cannot be asked, or matters to others."""
        asked = not (own.requires_grad or own.is_meta or torch.compiler.is_compiling())
        if not asked or (self.statistics is not None and self.statistics.moving(self.module)):
            return self.owners
        some = (own != 0).any(0).tolist()
        return [owner for owner in self.owners if some[owner]]


def _along(mask: Tensor, like: Tensor) -> Tensor:
    return mask.view(-1, *[1] * (like.dim() - 2))


def statistics_of(calls: Mapping[str, GateCall], owners: int) -> dict[str, Tensor]:
    """Return the running statistics of all owners `[E, C]` in all gates, by their names in the network.

    Args:
        calls: What runs each gate, by the path of its module.
        owners: E.
    """
    found = {}
    for path, call in calls.items():
        if call.statistics is not None:
            values = call.statistics.values(call.module, owners)
            found.update({f"{path}.{name}": value for name, value in values.items()})
    return found
