"""Norms over channels as the functions of torch that they are, with the parameters of a user's module."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEAST_LENGTH = 1e-12
_LEAST_SHARE = 1e-6


@dataclass
class ChannelNorm:
    """The forward pass of a module that is a norm over one axis; an object, so that copies use their own module.

    Attributes:
        module: Has the parameters.
        weight: Name of the scale, None without one.
        bias: Name of the offset, None without one.
        axis: Of the channels.
        centred: Whether the mean is taken away.
        eps: Added to the variance.
        length: Whether it divides by the length of the channels (the root of their sum of squares) and not by their
            root mean square. With C channels that is the root of C apart, which it stays for every group.
    """

    module: nn.Module
    weight: str | None
    bias: str | None
    axis: int
    centred: bool
    eps: float
    length: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        """Return the normalised input, of the same shape."""
        y, sizes = x.movedim(self.axis, -1), (x.shape[self.axis],)
        weight, bias = self.flat(self.weight), self.flat(self.bias)
        if self.centred:
            y = functional.layer_norm(y, sizes, weight, bias, self.eps)
        else:
            y = functional.rms_norm(y, sizes, weight, self.eps)
        if self.length:
            y = y * sizes[0] ** -0.5
        return y.movedim(-1, self.axis)

    def flat(self, name: str | None) -> Tensor | None:
        """Return a parameter in one dimension, None without a name."""
        return None if name is None else flat(self.module, name)


@dataclass
class DeviationNorm:
    """The forward pass of a module that divides by the standard deviation plus eps, not by the root of the variance plus eps.

    It is made of one layer norm, over two copies of the channels: one is raised by k = eps / share, one lowered. The root of
    what it divides by is S^2 = variance + 2 k^2 for both (k^2 from the copies, and k^2 as its own eps). Half the sum of what it
    gives is (x - mean) / S, half the difference is u = k / S, and deviation + k = S (sqrt(1 - 2 u^2) + u). So each channel
    has the deviation of what its group may read.

    Attributes:
        module: Has the parameters.
        weight: Name of the scale, None without one.
        bias: Name of the offset, None without one.
        axis: Of the channels.
        share: What the deviation is multiplied with: 1, or the root of C / (C - 1) for C channels, where a module divides by one
            less, which it stays for every group.
        eps: Added to that, above 0.
    """

    module: nn.Module
    weight: str | None
    bias: str | None
    axis: int
    share: float
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """Return the normalised input, of the same shape."""
        y, apart = x.movedim(self.axis, -1), self.eps / self.share
        both = torch.cat([y + apart, y - apart], -1)
        both = functional.layer_norm(both, both.shape[-1:], None, None, apart**2)
        raised, lowered = both.chunk(2, -1)
        u = (raised - lowered) / 2
        rest = (1 - 2 * u.square()).clamp_min(_LEAST_SHARE).sqrt()  # whose gradient is finite
        y = (raised + lowered) / (2 * self.share * (rest + u))
        if self.weight is not None:
            y = y * flat(self.module, self.weight)
        if self.bias is not None:
            y = y + flat(self.module, self.bias)
        return y.movedim(-1, self.axis)


@dataclass
class ResponseNorm:
    """The forward pass of a module that is a global response norm (Woo et al. 2023), by way of a root mean square norm.

    With G the length of a channel over its places, it gives x + weight * x * G / (mean of G over channels + eps) + bias;
    that quotient is the square of the root mean square norm of the root of G.

    Attributes:
        module: Has the parameters.
        weight: Name of the scale.
        bias: Name of the offset.
        axis: 1, or -1.
        eps: Added to the mean.
    """

    module: nn.Module
    weight: str
    bias: str
    axis: int
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """Return the input and its normalised response, of the same shape."""
        y = x.movedim(self.axis, -1)
        places = tuple(range(1, y.dim() - 1))
        length = torch.linalg.vector_norm(y, dim=places, keepdim=True)
        root = length.clamp_min(_LEAST_LENGTH).sqrt()  # whose gradient is finite
        quotient = functional.rms_norm(root, root.shape[-1:], None, self.eps).square()
        weight, bias = flat(self.module, self.weight), flat(self.module, self.bias)
        return (y + weight * (y * quotient) + bias).movedim(-1, self.axis)


def flat(module: nn.Module, name: str) -> Tensor:
    """Return a module's parameter in one dimension."""
    value: Tensor = getattr(module, name)
    return value if value.dim() == 1 else value.reshape(-1)
