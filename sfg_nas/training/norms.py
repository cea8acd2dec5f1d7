"""Statistics of batch norms measured anew: those gathered while masks flipped are wrong for the hard network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from sfg_nas.sharing.stream_norms import StreamNorm
from sfg_nas.sharing.streams import StreamRunner
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
    runners = [module for module in network.modules() if isinstance(module, StreamRunner)]
    # The stream form has its own copies and leaves the network's norms unused.
    norms = _stream_norms(runners) if runners else _batch_norms(network)
    if not norms:
        return 0
    plan = _plan(network, images, batch_size or at_once(images), seed)
    with evaluating(network), _measuring(norms, runners):
        _observe(network, images.batches(**plan), batches)
    return len(norms)


def _batch_norms(network: nn.Module) -> list[_BatchNorm | StreamNorm]:
    held = held_modules(network)
    return [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
        if module not in held
    ]


def _stream_norms(runners: Sequence[StreamRunner]) -> list[_BatchNorm | StreamNorm]:
    """Return the batch norms of supernets in the stream form, which are no modules of torch's, each once."""
    found: dict[StreamNorm, None] = {}
    for runner in runners:
        for op in runner.wiring.network.ops:
            norm = runner.norms[runner.norm_of[op.name]] if op.name in runner.norm_of else None
            tracked = op.operation == "batch_norm" and STATISTICS[0] in op.statics
            if isinstance(norm, StreamNorm) and tracked and op.name not in runner.held:
                found[norm] = None
    return [*found]


@contextmanager
def _measuring(
    norms: Sequence[_BatchNorm | StreamNorm], runners: Sequence[StreamRunner]
) -> Iterator[None]:
    """Let norms take the mean of the statistics of the batches inside a `with`, and forget those they had."""
    torchs = [norm for norm in norms if isinstance(norm, _BatchNorm)]
    streams = [norm for norm in norms if isinstance(norm, StreamNorm)]
    momenta = [norm.momentum for norm in torchs]
    cumulative = [norm.cumulative for norm in streams]
    try:
        for norm in torchs:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        for stream in streams:
            stream.num_batches_tracked.zero_()
            stream.cumulative = True
        for runner in runners:
            runner.measuring = True
        yield
    finally:
        for norm, momentum in zip(torchs, momenta, strict=True):
            norm.momentum = momentum
        for stream, before in zip(streams, cumulative, strict=True):
            stream.cumulative = before
        for runner in runners:
            runner.measuring = False


def _plan(network: nn.Module, images: Examples, batch_size: int, seed: int) -> _Plan:
    device, _ = placement(network)
    full = len(images) >= batch_size
    return _Plan(batch_size=batch_size, seed=seed, device=device, drop_last=full)


def _observe(network: nn.Module, stream: Iterator[Batch], batches: int | None) -> None:
    _, dtype = placement(network)
    with torch.no_grad():
        for batch, _ in islice(stream, batches):
            network(batch.to(dtype))


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
