"""Norms that mix channels, restricted to what each channel's owner may read."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sfg_nas.sharing.guard import times
from sfg_nas.sharing.traced import TracedOp


def read_norm(  # noqa: PLR0913 (a norm, who owns what, and who reads it)
    x: Tensor,
    *,
    axis: int,
    over: tuple[int, ...],
    segments: Tensor,
    readers: Tensor,
    own: Tensor,
    eps: float,
    centred: bool = True,
    careful: bool = False,
) -> Tensor:
    """Normalise each channel by the statistics of the channels its owner may read.

    Layer norm (Ba et al. 2016) and group norm (Wu & He 2018) take their mean and variance over
    several channels, root mean square norm (Zhang & Sennrich 2019) the mean of squares alone. Here
    channel c of owner g takes them over the channels of its segment that belong to owners h with
    h >= g; with everything shared this is the plain norm.

    Args:
        x: Values `[N, ..., C, ...]`.
        axis: The channel axis of `x`.
        over: Axes, besides the channel axis, over which statistics are taken.
        segments: One-hot segment (norm group) of every channel `[C, S]`.
        readers: What each of the E owners may read of each channel `[E, C]`, in [0, 1].
        own: Assignment of each channel `[C, E]`, rows summing to 1.
        eps: Added to the variance.
        centred: Whether the mean is taken off.
        careful: Whether values that may not be read may be infinite or no numbers.

    Returns:
        Normalised values, the shape of `x`, before any affine map.
    """
    spread: Tensor | None = None
    if centred:
        level = _mean(x, over)
        spread = _mean((x - level).square(), over) if over else None
    else:
        spread = _mean(x.square(), over)
        level = torch.zeros_like(spread)
    per_channel = level.movedim(axis, -1)
    mean_c = torch.zeros_like(per_channel)
    scale_c = torch.zeros_like(per_channel)
    for reader, allowed in enumerate(readers):
        weight = segments.T * allowed  # [S, C]
        weight = weight / weight.sum(1, keepdim=True).clamp_min(1e-12)
        seen = times(per_channel, (allowed != 0).to(x), careful=True) if careful else per_channel
        mean = seen @ weight.T @ segments.T
        second = (seen - mean).square()  # around the reader's own mean: no cancellation
        if spread is not None:
            second = second + spread.movedim(axis, -1)
        if careful:
            second = times(second, (allowed != 0).to(x), careful=True)
        variance = second @ weight.T @ segments.T
        mean_c = mean_c + times(mean, own[:, reader], careful=careful)
        scale_c = scale_c + times((variance + eps).rsqrt(), own[:, reader], careful=careful)
    return (x - mean_c.movedim(-1, axis)) * scale_c.movedim(-1, axis)


def _mean(x: Tensor, over: tuple[int, ...]) -> Tensor:
    return x.mean(dim=over, keepdim=True) if over else x


def norm_axes(op: TracedOp, axis: int) -> tuple[int, ...] | None:
    """Return the axes besides the channel axis a mixing norm runs over, None if per channel."""
    dims = len(op.shape)
    if op.operation == "group_norm":
        return tuple(range(2, dims))
    shape = op.settings["normalized_shape"]
    assert isinstance(shape, list)
    over = range(dims - len(shape), dims)
    return tuple(d for d in over if d != axis) if axis in over else None


def norm_segments(op: TracedOp, channels: int) -> Tensor:
    """Return the one-hot norm group of every channel `[C, S]`."""
    count = op.settings["num_groups"] if op.operation == "group_norm" else 1
    assert isinstance(count, int)
    index = torch.arange(channels) * count // channels
    return nn.functional.one_hot(index, count).float()


def norm_eps(given: object, dtype: torch.dtype) -> float:
    """Return what a norm adds to the variance.

    Args:
        given: A number, or None for the precision of `dtype`, or that of 32 bits if this has fewer, as
            root mean square norms have it.
        dtype: Of the values.
    """
    if given is None:
        return min(torch.finfo(dtype).eps, torch.finfo(torch.float).eps)
    assert isinstance(given, float | int)
    return float(given)


def affine(y: Tensor, weight: Tensor | None, bias: Tensor | None, axis: int | None) -> Tensor:
    """Return y * weight + bias; `axis` is the channel axis of 1-D parameters, None to broadcast."""
    for parameter, multiply in ((weight, True), (bias, False)):
        if parameter is not None:
            value = parameter
            if axis is not None:
                value = parameter.view([-1] + [1] * (y.dim() - 1 - axis))
            y = y * value if multiply else y + value
    return y
