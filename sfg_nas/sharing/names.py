"""Names of parameters with and without the masks around them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import nn

from sfg_nas.sharing.connections import ConnectionMask


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
