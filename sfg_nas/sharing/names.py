"""Names of parameters with and without the masks around them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor, nn

from sfg_nas.sharing.connections import ConnectionMask
from sfg_nas.sharing.wiring import Wiring


def masked_targets(network: nn.Module) -> frozenset[str]:
    """Return the state-dict keys of the weights that carry a mask of ours, by all their names."""
    return frozenset(
        f"{path}.{attribute}".lstrip(".")
        for path, module in network.named_modules(remove_duplicate=False)
        for attribute, chain in getattr(module, "parametrizations", {}).items()
        if any(isinstance(step, ConnectionMask) for step in chain)
    )


def stored_name(target: str, state: Mapping[str, object]) -> str:
    """Return the name under which a parametrized network stores a parameter."""
    if target in state:
        return target
    module, _, attribute = target.rpartition(".")
    return f"{module}.parametrizations.{attribute}.original".lstrip(".")


def searched_weights(network: nn.Module, wiring: Wiring) -> list[Tensor]:
    """Return the weights of all searchable layers, before masks, each once.

    Args:
        network: Backbone and heads, with masks.
        wiring: Of the supernet.
    """
    state = dict(network.named_parameters(remove_duplicate=False))
    searched = (layer for layer in wiring.reading if layer.name in wiring.layers)
    targets = (wiring.network.moved_target(layer.weight) for layer in searched)
    stored = dict.fromkeys(stored_name(t, state) for t in targets if t is not None)
    return [state[name] for name in stored if name in state]  # not of buffers


def plain_name(name: str, masked: Collection[str]) -> str:
    """Return a parameter's name in the user's network, whose own parametrizations stay.

    Args:
        name: A name in the supernet's network.
        masked: The weights that carry a mask of ours.
    """
    module, _, rest = f".{name}".partition(".parametrizations.")
    attribute, _, kind = rest.partition(".")
    target = f"{module}.{attribute}".lstrip(".")
    return target if kind == "original" and target in masked else name


def plain_parameters(network: nn.Module) -> frozenset[str]:
    """Return the names of all parameters, by all their names, in the user's network."""
    masked = masked_targets(network)
    names = (name for name, _ in network.named_parameters(remove_duplicate=False))
    return frozenset(plain_name(name, masked) for name in names)


def plain_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of a network as the user wrote it: no masks, no wrapping."""
    state = network.state_dict(keep_vars=True)
    masked = masked_targets(network)
    return {plain_name(name, masked): value.detach() for name, value in state.items()}


def free_key(name: str, parent: nn.Module) -> str:
    """Return a name under which a module can be registered: without dots, not taken, and none of torch's own.

    Args:
        name: What it is to be called, as far as that may be.
        parent: The module that gets it.
    """
    key = name.replace(".", "_")
    while hasattr(parent, key) or hasattr(nn.ModuleDict, key):
        key += "_"
    return key
