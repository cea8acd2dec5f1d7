"""What of a user's network is held as it is in training: frozen weights, and norms that stay in evaluation mode."""

from __future__ import annotations

from torch import nn

from sfg_nas.sharing.names import masked_targets, plain_name

_STATISTICS = ("running_mean", "running_var")


def frozen_tensors(network: nn.Module) -> frozenset[str]:
    """Return the names, in the user's network, of tensors that training leaves as they are, by all their names.

    These are parameters that ask for no gradient, and the running statistics of norms that are in evaluation mode
    when the whole network is in training mode (modules with a `train` of their own keep them there).

    Args:
        network: Backbone and heads, with or without masks; its modes are left as they were.
    """
    modes = {module: module.training for module in network.modules()}
    network.train()
    try:
        masked = masked_targets(network)
        parameters = network.named_parameters(remove_duplicate=False)
        found = {plain_name(name, masked) for name, p in parameters if not p.requires_grad}
        for path, module in network.named_modules(remove_duplicate=False):
            if not module.training:
                own = dict(module.named_buffers(recurse=False))
                found |= {f"{path}.{name}".lstrip(".") for name in _STATISTICS if name in own}
    finally:
        for module, mode in modes.items():
            module.training = mode
    return frozenset(found)
