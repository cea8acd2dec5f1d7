"""Norms that mix channels, restricted to what each channel's owner may read."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sfg_nas.sharing.traced import TracedOp

_MOST_SHIFT = 30.0
"""Of a squared mean over a variance: more, and their difference has lost one or two digits."""


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
    level = _mean(x, over) if centred else None
    spread: Tensor | None = None
    if level is None:
        spread = _mean(x.square(), over)
    elif over:
        spread = _mean((x - level).square(), over)
    weights = segments.T * readers.unsqueeze(1)  # [E, S, C]
    weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-12)
    like = spread if level is None else level
    assert like is not None
    last = like.movedim(axis, -1).shape

    def by_places(statistic: Tensor) -> Tensor:
        """Return `[P, C]`: of one layout, so that products round alike with and without care."""
        return statistic.movedim(axis, -1).reshape(-1, len(segments)).contiguous()

    def spread_out(of_channels: Tensor) -> Tensor:
        return of_channels.view(last).movedim(-1, axis)

    values, squares = (None if v is None else by_places(v) for v in (level, spread))
    read: Tensor | None = None
    if careful:
        values, squares, read = _finite(values, squares, weights)
    mean, variance = _statistics(values, squares, weights, segments, eps)
    owner = (own.unsqueeze(-1) * segments.unsqueeze(1)).flatten(1).T  # [E * S, C]
    scale = (variance + eps).rsqrt() @ owner
    if read is not None:
        scale = scale.masked_fill((~read).to(scale) @ (owner != 0).to(scale) > 0, float("nan"))
    if mean is not None:
        x = x - spread_out(mean @ owner)
    return x * spread_out(scale)


def _statistics(
    values: Tensor | None,
    squares: Tensor | None,
    weights: Tensor,
    segments: Tensor,
    eps: float,
) -> tuple[Tensor | None, Tensor]:
    """Return mean (None without values) and variance of what each reader reads `[P, E * S]`.

    One product gives the means of all readers, another their mean squares, whose difference to the squared means is the
    variance. Where that loses digits, as for a group of nearly constant channels, a reader's variance is taken around
    its own mean. What a reader may not read has no part in its numbers, nor in how they are computed.

    Args:
        values: Of each place `[P, C]`.
        squares: What is added to the squares of the values.
        weights: Of each channel for each reader and segment `[E, S, C]`.
        segments: One-hot segment of every channel `[C, S]`.
        eps: What will be added to the variance.
    """
    weight = weights.flatten(0, 1).T
    if values is None:
        assert squares is not None
        return None, squares @ weight
    mean = values @ weight
    second = values.square() if squares is None else values.square() + squares
    shift = mean.square()
    variance = second @ weight - shift
    count = segments.shape[1]
    parts = list(torch.split(variance, count, -1))
    for reader in _shifted(shift.detach(), variance.detach() + eps, len(weights)):
        own_mean = mean[..., reader * count : (reader + 1) * count] @ segments.T
        second = (values - own_mean).square()
        second = second if squares is None else second + squares
        parts[reader] = second @ weights[reader].T
    return mean, torch.cat(parts, -1)


def _shifted(shift: Tensor, variance: Tensor, readers: int) -> list[int]:
    """Return the readers whose squared mean is so far above the variance that their difference has lost digits."""
    if torch.compiler.is_compiling() or shift.is_meta:  # nothing can be asked
        return [*range(readers)]
    lost = (shift > _MOST_SHIFT * variance).any(0).view(readers, -1).any(1)
    return [reader for reader, far in enumerate(lost.tolist()) if far]


def _finite(
    values: Tensor | None, squares: Tensor | None, weights: Tensor
) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """Return values and squares with zeros for what is not finite, and who reads only finite ones `[P, E * S]`.

    A value whose square, also from some other value of its size, has no number is none either.
    """
    squared = None if values is None else (2 * values).square()
    good = torch.stack([v.isfinite() for v in (squared, squares) if v is not None]).all(0)
    first, second = (None if v is None else v.masked_fill(~good, 0.0) for v in (values, squares))
    reached = (~good).to(weights) @ (weights.flatten(0, 1).T != 0).to(weights)
    return first, second, reached == 0


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
