"""What a network costs, counted on the running module."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def count_macs(module: nn.Module, example_input: Tensor) -> int:
    """Return the multiply-accumulates of one example, counted by PyTorch's FLOP counter.

    Convolutions and matrix products count; two FLOPs make one multiply-accumulate. For the network
    of an architecture this equals `Architecture.macs` exactly.

    Args:
        module: Any network; its mode and its statistics are left as they were.
        example_input: `[N, ...]`; the first example is used.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        # with gradients on: the counter's module hooks trip over views made without them
        with torch.enable_grad(), FlopCounterMode(display=False) as counter:
            module(example_input[:1])
    finally:
        for part, training in modes:
            part.training = training
    return int(counter.get_total_flops()) // 2


def count_params(module: nn.Module) -> int:
    """Return the number of trained parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
