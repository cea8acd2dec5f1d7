"""Statistics of batch norms measured anew: those gathered while masks flipped are wrong for the hard network."""

from __future__ import annotations

from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sfg_nas.data import ImageSet
from sfg_nas.training.evaluation import placement


def recalibrate_norms(
    network: nn.Module,
    images: ImageSet,
    *,
    batch_size: int = 256,
    batches: int | None = None,
    seed: int = 0,
) -> int:
    """Set the running statistics of every batch norm to their mean over training batches, in place.

    Every batch counts the same, as with `momentum=None` of torch, unlike the moving average of training, which
    remembers the last few batches only. The images are shuffled, so that each batch resembles the whole, and are not
    augmented. All other modules stay in eval mode; momentum and modes are as before afterwards.

    Args:
        network: Maps images [N, C, H, W]; call it after hardening.
        images: The training images.
        batch_size: Images at once; a last batch that is not full is left out.
        batches: How many batches to use, or None for all.
        seed: Of the order of the images.

    Returns:
        The number of batch norms.
    """
    norms = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    if not norms:
        return 0
    modes = {module: module.training for module in network.modules()}
    momenta = [norm.momentum for norm in norms]
    network.eval()
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        _observe(network, images, batch_size, batches, seed)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in modes.items():
            module.training = mode
    return len(norms)


def _observe(
    network: nn.Module, images: ImageSet, batch_size: int, batches: int | None, seed: int
) -> None:
    device, dtype = placement(network)
    full = len(images) >= batch_size
    stream = images.batches(batch_size, seed=seed, device=str(device), drop_last=full)
    with torch.no_grad():
        for batch, _ in islice(stream, batches):
            network(batch.to(dtype))


def norm_state(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the running statistics of every batch norm, by the name of the buffer.

    Args:
        network: Any module.
    """
    return {
        f"{path}.{name}": buffer.detach().clone()
        for path, module in network.named_modules()
        if isinstance(module, _BatchNorm)
        for name, buffer in module.named_buffers(recurse=False)
    }


def restore_norm_state(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Put back what `norm_state` gave, in place.

    Args:
        network: The same module.
        state: The running statistics.
    """
    buffers = dict(network.named_buffers())
    for name, value in state.items():
        buffers[name].copy_(value)
