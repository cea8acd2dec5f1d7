"""Whether a precision pays on a processor: measured, as processors without bfloat16 compute it in a roundabout way."""

from __future__ import annotations

import statistics
import time
from functools import lru_cache

import torch
from torch import nn

from sfg_nas.training.seeds import fenced_random_state

_TYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
_SLOW, _ROUNDS = 1.5, 3


def slow_precision(precision: str, device: str) -> str:
    """Return in words that a precision is slower than `32` on a processor; empty if it is not, or on a GPU.

    A convolution is trained for three steps in either: up to half a second where the processor has no such
    arithmetic, some hundredths elsewhere.

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
    """Return the median time of a training step of a convolution in a precision over that in `32`."""
    with fenced_random_state():
        convolution = nn.Conv2d(32, 32, 3, padding=1)
    images = torch.ones(8, 32, 24, 24, requires_grad=True)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(_ROUNDS + 1):
        for enabled, found in seconds.items():
            start = time.perf_counter()
            with torch.autocast("cpu", _TYPES[precision], enabled=enabled):
                result = convolution(images)
            result.float().sum().backward()
            found.append(time.perf_counter() - start)
    plain, mixed = (statistics.median(found[1:]) for found in seconds.values())
    return mixed / plain
