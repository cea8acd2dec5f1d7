"""Building a fixed network, with fresh weights or with those of a supernet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from sfg_nas.architecture import Architecture, Node
from sfg_nas.errors import ArchitectureError, explain
from sfg_nas.fixed.banks import cut_bank
from sfg_nas.fixed.network import FixedNetwork
from sfg_nas.operations import BANKS, Kind, vocabulary
from sfg_nas.sharing.supernet import Supernet


def build_network(
    architecture: Architecture, weights: Supernet | None = None, *, seed: int = 0
) -> FixedNetwork:
    """Return the compact network of an architecture.

    Args:
        architecture: A sound architecture.
        weights: A supernet whose weights (and their type and device) are inherited; None for fresh
            ones.
        seed: Seed of fresh weights; the global random state is left as it was.

    Raises:
        ArchitectureError: The graph does not make a network, or does not fit the supernet.
    """
    drawn = nullcontext() if weights is None else _Undrawn()
    with torch.random.fork_rng(devices=[]), drawn:
        torch.manual_seed(seed)
        network = FixedNetwork(architecture)
    if weights is not None:
        like = weights.assignments.filter_logits
        stored = next((p for p in weights.weight_parameters() if p.is_floating_point()), like)
        inherit(network.to(stored), weights)
    return network


_DRAWS = {init.kaiming_uniform_, init.normal_, init.uniform_, Tensor.normal_, Tensor.uniform_}
"""What layers and heads are initialised with, as far as it takes long."""


class _Undrawn(TorchFunctionMode):
    """Leaves out the numbers of an initialisation: `inherit` overwrites them all, and they take long to draw."""

    def __torch_function__(
        self,
        function: Callable[..., object],
        types: object,
        args: Sequence[object] = (),
        keywords: Mapping[str, object] | None = None,
    ) -> object:
        """Return the tensor that was to be filled, or what the function gives."""
        del types
        given = keywords or {}
        if function in _DRAWS:
            return args[0] if args else given["tensor"]
        return function(*args, **given)


@torch.no_grad()
def inherit(network: FixedNetwork, supernet: Supernet) -> None:
    """Copy every weight from the supernet, cut to the channels of each node."""
    values = _by_target(supernet)
    architecture = network.architecture
    for name, key in network.module_of.items():
        node = architecture.node(name)
        module = network.layers[key]
        for label, record in node["params"].items():
            value = values.get(record["key"] or "")
            target = getattr(module, label, None)
            if value is None or not isinstance(target, Tensor):
                raise _unfit(name, label, "no such tensor in the supernet")
            try:
                cut = _cut(architecture, name, label, _of_group(supernet, node, value))
            except IndexError as error:  # of a narrower network
                raise _unfit(name, label, f"too few in shape {tuple(value.shape)}") from error
            if cut.numel() != target.numel():
                raise _unfit(name, label, f"shape {tuple(cut.shape)} for {tuple(target.shape)}")
            target.copy_(cut.reshape(target.shape))


def _by_target(supernet: Supernet) -> Mapping[str, Tensor]:
    """Return the supernet's tensors by the key that architectures use."""
    traced = supernet.wiring.network
    return {
        traced.static_target(key) or key: value for key, value in supernet.static_values().items()
    }


def _of_group(supernet: Supernet, node: Node, value: Tensor) -> Tensor:
    """Return what a node's group has of a norm within a gate."""
    wiring, groups = supernet.wiring, supernet.groups
    if not wiring.is_copied(node["layer"]):
        return value
    members = frozenset(groups.tasks.index(task) for task in node["group"])
    return wiring.of_owner(value, wiring.op(node["layer"]), groups.extended.index(members))


def _cut(architecture: Architecture, name: str, label: str, value: Tensor) -> Tensor:
    """Return the part of a tensor that belongs to a node's channels."""
    node = architecture.node(name)
    kind = vocabulary()[node["op"]].kind if node["op"] in vocabulary() else None
    if kind in BANKS and label == "weight":
        return _cut_bank(architecture, name, value, transposed=kind is Kind.CONV_TRANSPOSE)
    axis = node["params"][label]["axis"]
    if axis is None or node["axis"] is None:
        return value
    own = torch.tensor(node["channels"], device=value.device)
    return value.index_select(axis, own)


def _cut_bank(architecture: Architecture, name: str, value: Tensor, *, transposed: bool) -> Tensor:
    node = architecture.node(name)
    last = -1 if node["op"] == "linear" else 0
    reads: list[int] = []
    for source in architecture.sources(name)[0]:
        data = architecture.node(source)
        whole, axis = range(data["shape"][last]), len(data["shape"]) if last else 1
        reads.extend(data["channels"] if data["axis"] == axis else whole)
    own = node["channels"] if node["axis"] is not None else range(node["shape"][last])
    grouped = "of_groups" in node["settings"]  # whole conv-groups were kept, in their order
    return cut_bank(value, own, reads, transposed=transposed, grouped=grouped)


def _unfit(name: str, label: str, found: str) -> ArchitectureError:
    return ArchitectureError(
        explain(
            where=f"build_network: node `{name}`, {label}",
            rule="the architecture must have been distilled from this supernet",
            found=found,
            do="pass the supernet it came from, or no weights",
        )
    )
