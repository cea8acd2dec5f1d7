"""A shorter way to the same values, for when nothing is learned.

A fixed network is made of many small layers, and small layers are slow on a processor: a convolution
of 5 filters takes as long as one of 16. Where no gradient is asked for, a convolution, the norm that
alone reads it and the activation that alone reads that become one step: the norm's scale goes into the
weight, which is copied for the kernel anyway, and the activation changes the fresh value in place.
Convolutions that read the same values, such as those of all groups on the image, become one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sfg_nas.fixed.steps import Step, with_lifetimes

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
IN_PLACE = {
    "relu": torch.ops.aten.relu_.default,
    "silu": torch.ops.aten.silu_.default,
    "hardswish": torch.ops.aten.hardswish_.default,
    "sigmoid": torch.ops.aten.sigmoid_.default,
    "tanh": torch.ops.aten.tanh_.default,
}


@dataclass(frozen=True)
class Chain:
    """A convolution and what alone reads it.

    Attributes:
        steps: The steps it replaces, the convolution's first.
        bank: The convolution.
        norm: The batch norm after it, or None.
        activation: Name of the activation after these, or empty.
    """

    steps: tuple[Step, ...]
    bank: Convolution
    norm: nn.Module | None = None
    activation: str = ""

    @property
    def target(self) -> int:
        """Place of the last value."""
        return self.steps[-1].target

    def alike(self) -> tuple[object, ...]:
        """Return what chains must have in common to become one convolution."""
        bank = self.bank
        own = (bank.kernel_size, bank.stride, bank.padding, bank.dilation, bank.groups)
        merged = bank.groups == 1  # filters of a grouped convolution read different channels
        return (self.steps[0].sources, own, self.activation, None if merged else id(bank))


def lean_steps(
    steps: Sequence[Step],
    modules: Mapping[str, nn.Module],
    operations: Mapping[str, str],
    kept: Collection[int],
) -> list[Step]:
    """Return fewer steps to the same values in evaluation mode.

    Args:
        steps: All steps of a network, in order.
        modules: Layer of a node that has one.
        operations: Operation of each node.
        kept: Places of the outputs.
    """
    readers: dict[int, list[Step]] = {}
    for step in steps:
        for place in dict.fromkeys(p for places in step.sources for p in places):
            readers.setdefault(place, []).append(step)
    alone = {p: found[0] for p, found in readers.items() if len(found) == 1 and p not in kept}
    bundles: dict[tuple[object, ...], list[Chain]] = {}
    for step in steps:
        bank = modules.get(step.node)
        if isinstance(bank, Convolution):
            chain = _chain(step, bank, alone, modules, operations)
            bundles.setdefault(chain.alike(), []).append(chain)
    new = {bundle[0].steps[0].node: _joint(bundle) for bundle in bundles.values()}
    gone = {step.node for b in bundles.values() for chain in b for step in chain.steps}
    result: list[Step] = []
    for step in steps:
        result.extend(new.get(step.node, [] if step.node in gone else [step]))
    return with_lifetimes(result, kept)


def _chain(
    first: Step,
    bank: Convolution,
    alone: Mapping[int, Step],
    modules: Mapping[str, nn.Module],
    operations: Mapping[str, str],
) -> Chain:
    chain = Chain((first,), bank)
    after = alone.get(chain.target)
    norm = modules.get(after.node) if after is not None else None
    known = isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.running_mean is not None
    if after is not None and known:
        chain = replace(chain, steps=(*chain.steps, after), norm=norm)
        after = alone.get(chain.target)
    if after is not None and operations[after.node] in IN_PLACE:
        chain = replace(chain, steps=(*chain.steps, after), activation=operations[after.node])
    return chain


def _joint(chains: list[Chain]) -> list[Step]:
    """Return the step of chains with the same sources, and those that take its parts."""
    first = chains[0].steps[0]
    if len(chains) == 1:
        return [
            replace(
                first, node=chains[0].steps[-1].node, target=chains[0].target, run=_Folded(chains)
            )
        ]
    whole = -2 - first.target  # a place that no node has
    found = [Step("", first.sources, whole, _Folded(chains))]
    start = 0
    for chain in chains:
        size = chain.bank.out_channels
        run = _Narrow(start, size)
        found.append(Step(chain.steps[-1].node, ((whole,),), chain.target, run))
        start += size
    return found


@dataclass
class _Folded:
    """Runs the convolutions of chains as one, norms and activation included."""

    chains: list[Chain]

    def __call__(self, inputs: list[list[Tensor]], _training: bool) -> Tensor:
        given = inputs[0]
        x = given[0] if len(given) == 1 else torch.cat(given, 1)
        parts = [_folded(chain) for chain in self.chains]
        bank = self.chains[0].bank
        weight = parts[0][0] if len(parts) == 1 else torch.cat([w for w, _ in parts])
        biases = [b for _, b in parts]
        bias = biases[0]
        if len(parts) > 1 and any(b is not None for b in biases):
            bias = torch.cat([w.new_zeros(len(w)) if b is None else b for w, b in parts])
        y: Tensor = bank._conv_forward(x, weight, bias)
        activation = self.chains[0].activation
        return IN_PLACE[activation](y) if activation else y


@dataclass
class _Narrow:
    """Takes some channels of a joint value, as a view."""

    start: int
    size: int

    def __call__(self, inputs: list[list[Tensor]], _training: bool) -> Tensor:
        return inputs[0][0].narrow(1, self.start, self.size)


def _folded(chain: Chain) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias of a convolution with the norm after it."""
    weight, bias, norm = chain.bank.weight, chain.bank.bias, chain.norm
    assert isinstance(weight, Tensor)
    assert bias is None or isinstance(bias, Tensor)
    if norm is None:
        return weight, bias
    mean, variance = norm.running_mean, norm.running_var
    assert isinstance(mean, Tensor)
    assert isinstance(variance, Tensor)
    scale = (variance + norm.eps).rsqrt()  # type: ignore[operator]
    if isinstance(norm.weight, Tensor):
        scale = scale * norm.weight
    shift = -mean * scale if bias is None else (bias - mean) * scale
    if isinstance(norm.bias, Tensor):
        shift = shift + norm.bias
    return weight * scale.to(weight.dtype).view(-1, *[1] * (weight.dim() - 1)), shift.to(
        weight.dtype
    )


def may_be_lean(x: Tensor, network: nn.Module) -> bool:
    """Return whether nothing is learned, counted, exported or watched in this forward pass."""
    if network.training or torch.is_grad_enabled() or type(x) is not Tensor:
        return False
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return False
    device = x.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return False
    if torch._C._len_torch_dispatch_stack() > 0:
        return False
    parts = network.modules()
    return not any(m._forward_hooks or m._forward_pre_hooks or m.training for m in parts)
