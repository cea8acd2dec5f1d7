"""What a network costs, counted and timed on the running module."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def evaluating(module: nn.Module) -> AbstractContextManager[None]:
    """Put a module into evaluation mode for a while; each part gets its own mode back.

    Args:
        module: Any module.
    """
    return in_mode(module, training=False)


@contextmanager
def in_mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    """Put a module into training or evaluation mode for a while; each part gets its own mode back.

    Args:
        module: Any module.
        training: Whether it is training mode.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _attention_flops(
    query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...], *_: object, **__: object
) -> int:
    """Return the FLOPs of an attention: two products, of the shapes `[..., L, D]`, `[..., S, D]` and `[..., S, E]`."""
    return 2 * math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _vector_flops(matrix: tuple[int, ...], *_: object, **__: object) -> int:
    """Return the FLOPs of a product of a matrix and a vector."""
    return 2 * math.prod(matrix)


_UNCOUNTED = {
    "_scaled_dot_product_flash_attention_for_cpu": _attention_flops,
    "_scaled_dot_product_attention_math_for_mps": _attention_flops,
    "mv": _vector_flops,
}
"""What PyTorch's FLOP counter does not know."""


@contextmanager
def _step_by_step() -> Iterator[None]:
    """Keep attention from its fused kernel, which the counter does not see into: of frozen weights it takes that."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def count_macs(module: nn.Module, example_input: Tensor) -> int:
    """Return the multiply-accumulates of one example, counted by PyTorch's FLOP counter.

    Convolutions and matrix products count; two FLOPs make one multiply-accumulate. For the network
    of an architecture this equals `Architecture.macs` exactly.

    Args:
        module: Any network; its mode and its statistics are left as they were.
        example_input: `[N, ...]`; the first example is used.
    """
    kernels = {getattr(torch.ops.aten, name, None): flops for name, flops in _UNCOUNTED.items()}
    more = {kernel: flops for kernel, flops in kernels.items() if kernel is not None}
    counting = FlopCounterMode(display=False, custom_mapping=more)
    # with gradients on: the counter's module hooks trip over views made without them
    with evaluating(module), torch.enable_grad(), _step_by_step(), counting as counter:
        module(example_input[:1])
    return int(counter.get_total_flops()) // 2


def count_params(module: nn.Module) -> int:
    """Return the number of trained parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@dataclass(frozen=True)
class Latency:
    """How long a forward pass took.

    Attributes:
        median_seconds: Median over the repeats, for the whole batch.
        spread_seconds: Distance between the quartiles.
        device: Where it ran, such as `cpu` or `cuda:0`.
        batch: Images in a pass.
        repeats: Passes that were timed.
        threads: Threads that torch used on the CPU.
    """

    median_seconds: float
    spread_seconds: float
    device: str
    batch: int
    repeats: int
    threads: int


def measure_latency(
    module: nn.Module, example_input: Tensor, *, repeats: int = 30, warmup: int = 5
) -> Latency:
    """Return the time of a forward pass without gradients, in evaluation mode.

    Args:
        module: Any network; its mode is left as it was.
        example_input: The batch `[N, ...]`, on the module's device.
        repeats: Passes to time, at least 2.
        warmup: Passes before them that are not timed.
    """
    seconds: list[float] = []
    with evaluating(module), torch.no_grad():
        for _ in range(warmup):
            module(example_input)
        for _ in range(max(repeats, 2)):
            _wait(example_input.device)
            start = time.perf_counter()
            module(example_input)
            _wait(example_input.device)
            seconds.append(time.perf_counter() - start)
    low, middle, high = statistics.quantiles(seconds, n=4)
    return Latency(
        median_seconds=middle,
        spread_seconds=high - low,
        device=str(example_input.device),
        batch=len(example_input),
        repeats=len(seconds),
        threads=torch.get_num_threads(),
    )


def _wait(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
