"""What of a user's network is held as it is in training: frozen weights, and norms that stay in evaluation mode."""

from __future__ import annotations

from torch import nn

from sfg_nas.cost import in_mode
from sfg_nas.sharing.names import masked_targets, plain_name

STATISTICS = ("running_mean", "running_var")
"""Buffers of norms that training moves."""


def held_modules(network: nn.Module) -> set[nn.Module]:
    """Return the modules that stay in evaluation mode when a network is in training mode, by a `train` of their own.

    Args:
        network: Any module; its modes are left as they were.
    """
    with in_mode(network, training=True):
        return {module for module in network.modules() if not module.training}


def frozen_tensors(network: nn.Module) -> frozenset[str]:
    """Return the names, in the user's network, of tensors that training leaves as they are, by all their names.

    These are parameters that ask for no gradient, and the running statistics of norms that are held in evaluation mode.

    Args:
        network: Backbone and heads, with or without masks; its modes are left as they were.
    """
    held = held_modules(network)  # first: a `train` may freeze parameters, too
    masked = masked_targets(network)
    parameters = network.named_parameters(remove_duplicate=False)
    found = {plain_name(name, masked) for name, p in parameters if not p.requires_grad}
    for path, module in network.named_modules(remove_duplicate=False):
        if module in held:
            own = dict(module.named_buffers(recurse=False))
            found |= {f"{path}.{name}".lstrip(".") for name in STATISTICS if name in own}
    return frozenset(found)
