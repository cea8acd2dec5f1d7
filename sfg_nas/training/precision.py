"""Whether a precision pays on a processor: measured, as processors without bfloat16 compute it in a roundabout way."""

from __future__ import annotations

import time
from functools import lru_cache

import torch
from torch import nn

from sfg_nas.training.seeds import fenced_random_state

_TYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
_SLOW, _ROUNDS = 1.5, 4


def slow_precision(precision: str, device: str) -> str:
    """Return in words that a precision is slower than `32` on a processor; empty if it is not, or on a GPU.

    A convolution is trained for some steps in either: up to half a second where the processor has no such
    arithmetic, a tenth elsewhere.

    Args:
        precision: `32`, `64`, `16-mixed` or `bf16-mixed`.
        device: Such as `cpu`.
    """
    if device != "cpu" or precision not in _TYPES:
        return ""
    ratio = _ratio(precision, torch.get_num_threads())
    if ratio < _SLOW:
        return ""
    return f"{precision} takes {ratio:.1f} times as long as 32 on this processor (a convolution's step)"


@lru_cache
def _ratio(precision: str, _threads: int) -> float:
    """Return the least time of a training step of a convolution in a precision over that in `32`.

    Least, as whatever else a busy machine does only adds; channels-last, as batches are in training.
    """
    with fenced_random_state():
        convolution = nn.Conv2d(32, 32, 3, padding=1)
    images = (
        torch.ones(16, 32, 24, 24).contiguous(memory_format=torch.channels_last).requires_grad_()
    )
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(_ROUNDS + 1):
        for enabled, found in seconds.items():
            start = time.perf_counter()
            with torch.autocast("cpu", _TYPES[precision], enabled=enabled):
                result = convolution(images)
            result.float().sum().backward()
            found.append(time.perf_counter() - start)
    plain, mixed = (min(found[1:]) for found in seconds.values())
    return mixed / plain
