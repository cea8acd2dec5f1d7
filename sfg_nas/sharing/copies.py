"""Copies of a user's modules, and what is unusual about their weights."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from itertools import product
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils import _pytree as pytree

from sfg_nas.operations import BANKS, Kind
from sfg_nas.sharing.traced import BackboneWithHeads, TracedNetwork, conv_groups, is_kind

M = TypeVar("M", bound=nn.Module)


def copied(network: M, *, parameters: bool = True) -> M:
    """Return a deep copy of a network, also where a module keeps a computed tensor.

    Hooks such as `torch.nn.utils.weight_norm` leave the weight they computed last among a module's
    attributes; it is no leaf of the graph, and `copy.deepcopy` alone refuses it.

    Args:
        network: Any module.
        parameters: Whether parameters are copied too; else both networks have the same ones.
    """
    kept: dict[int, object] = {} if parameters else {id(p): p for p in network.parameters()}
    return copy.deepcopy(network, kept | _detached_memo(network))


def _detached_memo(network: nn.Module) -> dict[int, object]:
    """Return the memo with which `copy.deepcopy` copies a network that keeps computed tensors.

    Args:
        network: Any module.
    """
    memo: dict[int, object] = {}
    for module in network.modules():
        for value in pytree.tree_leaves(dict(vars(module))):
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return memo


def mixed_weights(network: TracedNetwork, state: Mapping[str, Tensor]) -> frozenset[str]:
    """Return the keys of computed weights whose filters depend on one another.

    Weight standardisation and weight norm compute each filter from its own numbers; a spectral
    norm divides all filters by one number, so that they cannot serve different tasks. Found by
    trying: the numbers of half of the filters are changed, by every digit of a filter's index.

    Args:
        network: The traced network.
        state: Tensors by state-dict key.
    """
    axes: dict[str, int] = {}
    for op in network.ops:
        key = op.statics.get("weight")
        if key is not None and is_kind(op, *BANKS) and network.moved_target(key) is None:
            alone = conv_groups(op) == 1
            axes[key] = 1 if is_kind(op, Kind.CONV_TRANSPOSE) and alone else 0
    return frozenset(key for key, axis in axes.items() if _mixes(network, state, key, axis))


def called_weights(network: BackboneWithHeads, traced: TracedNetwork) -> frozenset[str]:
    """Return the keys of filter banks that are masked where they are used, not where they are kept.

    A mask on a parameter is seen by all who use it, so only one that a single module holds, and that
    nothing else is computed from, can carry it. Others are computed, or used in two ways.

    Args:
        network: Backbone and heads, without masks.
        traced: Its operations.
    """
    holders = Counter(id(p) for m in network.modules() for p in m._parameters.values())
    used = {key for op in traced.ops for key in op.statics.values()}
    uses = Counter(target for key in used for target in traced.static_targets(key))
    found = set()
    for op in traced.ops:
        key = op.statics.get("weight")
        if key is None or not is_kind(op, *BANKS):
            continue
        target = traced.static_target(key)
        module, attribute = located(network, target)
        parameter = None if module is None else module._parameters[attribute]
        if target is None or uses[target] > 1 or holders.get(id(parameter)) != 1:
            found.add(key)
    return frozenset(found)


def located(network: nn.Module, target: str | None) -> tuple[nn.Module | None, str]:
    """Return the module and the attribute that hold a parameter; None if it is none, or another is computed from it."""
    if target is None:
        return None, ""
    path, _, attribute = target.rpartition(".")
    module = network.get_submodule(path)
    if attribute not in module._parameters or parametrize.is_parametrized(module, attribute):
        return None, attribute
    computed_from = isinstance(module, parametrize.ParametrizationList)
    return (None if computed_from else module), attribute


@torch.no_grad()
def _mixes(network: TracedNetwork, state: Mapping[str, Tensor], key: str, axis: int) -> bool:
    before = network.static_value(key, state)
    index = torch.arange(before.shape[axis], device=before.device)
    for digit in range(max(len(index) - 1, 1).bit_length()):
        for value, added in product((0, 1), (False, True)):
            chosen = (index >> digit) & 1 == value
            changed = {
                target: _changed(state[target], chosen, axis, added=added)
                for target in network.static_targets(key)
                if target in state
            }
            after = network.static_value(key, {**state, **changed})
            same = after == before
            if not bool(same.movedim(axis, 0)[~chosen].all()):
                return True
    return False


def _changed(tensor: Tensor, chosen: Tensor, axis: int, *, added: bool) -> Tensor:
    """Return other numbers for the chosen filters of a tensor that has some for each: larger ones, or with some added."""
    dims = (axis, 0, 1) if tensor.dim() == 2 else (axis, 0)  # a matrix may be turned
    fits = [d for d in dims if d < tensor.dim() and tensor.shape[d] == len(chosen)]
    if not fits or not tensor.is_floating_point():
        return tensor
    factor = torch.linspace(1.25, 1.75, tensor.numel(), device=tensor.device).view_as(tensor)
    other = tensor.detach().clone()
    by = factor.to(tensor.dtype).movedim(fits[0], 0)[chosen]
    places = other.movedim(fits[0], 0)
    places[chosen] = places[chosen] + by if added else places[chosen] * by
    return other
