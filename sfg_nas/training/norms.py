"""Statistics of batch norms measured anew: those gathered while masks flipped are wrong for the hard network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sfg_nas.cost import evaluating
from sfg_nas.data import Examples
from sfg_nas.data.images import Batch
from sfg_nas.errors import ArchitectureError, explain
from sfg_nas.sharing.frozen import STATISTICS, held_modules
from sfg_nas.sharing.streams import StreamNorm, StreamRunner
from sfg_nas.training.evaluation import at_once, placement


class _Plan(TypedDict):
    batch_size: int
    seed: int
    device: torch.device
    drop_last: bool


def recalibrate_norms(
    network: nn.Module,
    images: Examples,
    *,
    batch_size: int | None = None,
    batches: int | None = None,
    seed: int = 0,
) -> int:
    """Set the running statistics of every batch norm to their mean over training batches, in place.

    Every batch counts the same, as with `momentum=None` of torch, unlike the moving average of training, which
    remembers the last few batches only. The images are shuffled, so that each batch resembles the whole, and are not
    augmented. All other modules stay in eval mode; momentum and modes are as before afterwards. Norms that a `train` of
    their network's own holds in evaluation mode are left as they are.

    Args:
        network: Maps images [N, C, H, W]; call it after hardening.
        images: The training images.
        batch_size: Images at once, see `at_once`; a last batch that is not full is left out.
        batches: How many batches to use, or None for all.
        seed: Of the order of the images.

    Returns:
        The number of batch norms.
    """
    streams = _stream_norms(network)
    held = held_modules(network)
    # The stream form has its own copies and leaves the network's norms unused.
    norms = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
        if not streams and module not in held
    ]
    if not norms and not streams:
        return 0
    momenta = [norm.momentum for norm in norms]
    plan = _plan(network, images, batch_size or at_once(images), seed)
    try:
        with evaluating(network):
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None
                norm.train()
            if streams:
                network.training = True  # the stream form runs its norms in the supernet's own mode
            _observe(network, streams, images.batches(**plan), batches)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return len(streams) or len(norms)


def _stream_norms(network: nn.Module) -> list[tuple[StreamNorm, float]]:
    """Return the norms of a supernet in the stream form, which are no modules of torch's, with their momenta."""
    found: list[tuple[StreamNorm, float]] = []
    for runner in network.modules():
        if not isinstance(runner, StreamRunner):
            continue
        for op in runner.wiring.network.ops:
            norm = runner.norms[runner.norm_of[op.name]] if op.name in runner.norm_of else None
            momentum = op.settings.get("momentum")
            known = isinstance(momentum, float) and momentum > 0 and op.name not in runner.held
            if isinstance(norm, StreamNorm) and isinstance(momentum, float) and known:
                found.append((norm, momentum))
    return found


def _plan(network: nn.Module, images: Examples, batch_size: int, seed: int) -> _Plan:
    device, _ = placement(network)
    full = len(images) >= batch_size
    return _Plan(batch_size=batch_size, seed=seed, device=device, drop_last=full)


def _observe(
    network: nn.Module,
    streams: Sequence[tuple[StreamNorm, float]],
    stream: Iterator[Batch],
    batches: int | None,
) -> None:
    _, dtype = placement(network)
    sums = [
        {name: torch.zeros_like(norm.get_buffer(name)) for name in STATISTICS}
        for norm, _ in streams
    ]
    count = 0
    with torch.no_grad():
        for batch, _ in islice(stream, batches):
            for norm, _ in streams:
                for name in STATISTICS:
                    norm.get_buffer(name).zero_()
            network(batch.to(dtype))
            count += 1
            # From zero, one update leaves momentum times the batch's own statistic.
            for total, (norm, momentum) in zip(sums, streams, strict=True):
                for name in STATISTICS:
                    total[name] += norm.get_buffer(name) / momentum
        for total, (norm, _) in zip(sums, streams, strict=True):
            for name in STATISTICS:
                norm.get_buffer(name).copy_(total[name] / max(count, 1))


def norm_state(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the running statistics of every batch norm, by the name of the buffer.

    Args:
        network: Any module.
    """
    names = (*STATISTICS, "num_batches_tracked")
    return {
        path: buffer.detach().clone()
        for path, buffer in network.named_buffers()
        if path.rpartition(".")[2] in names
    }


def restore_norm_state(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Put back what `norm_state` gave, in place.

    Args:
        network: The same module.
        state: The running statistics.

    Raises:
        ArchitectureError: If they are those of another module.
    """
    buffers = dict(network.named_buffers())
    odd = sorted(set(state) ^ set(norm_state(network)))
    odd += [name for name in state if not odd and state[name].shape != buffers[name].shape]
    if odd:
        rule, do = "the statistics must be those of the network's norms", "restore the file"
        found = f"{odd[0][:100]} on one side only, or of another shape"
        raise ArchitectureError(explain(where="norms", rule=rule, found=found, do=do))
    for name, value in state.items():
        buffers[name].copy_(value)
