"""The layers of a fixed network that are not already in `torch.nn`."""

from __future__ import annotations

from itertools import pairwise
from typing import Self, cast

import torch
from torch import Tensor, nn

from sfg_nas.architecture import Node, Parameter
from sfg_nas.operations import BANKS, Kind, Operation, is_centred, vocabulary
from sfg_nas.sharing.norms import affine, norm_eps


class Constant(nn.Module):
    """Filters that read nothing: their bias at every position."""

    def __init__(self, node: Node) -> None:
        """Hold one value per channel, zero if the layer has no bias.

        Args:
            node: The architecture node; the batch lies along `free` of its settings, else first.
        """
        super().__init__()
        self.free = int(cast(int, node["settings"].get("free", 0)))
        self.shape = (node["repeats"], *node["shape"])
        self.axis = node["axis"] if node["axis"] is not None else 1
        zeros = torch.zeros(self.shape[self.axis])
        if "bias" in node["params"]:
            self.bias = nn.Parameter(zeros)
        else:
            self.register_buffer("bias", zeros, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the values for a batch as large as that of `x`, `[N, ...]`."""
        view = [1] * len(self.shape)
        view[self.axis] = -1
        sizes = [x.shape[0] * n if d == self.free else n for d, n in enumerate(self.shape)]
        return self.bias.view(view).expand(sizes)


class Select(nn.Module):
    """Picks channels by position; -1 gives zeros."""

    def __init__(self, positions: list[int], axis: int) -> None:
        """Hold the positions along `axis`."""
        super().__init__()
        self.axis = axis
        steps = {b - a for a, b in pairwise(positions)}
        self.start = positions[0] if positions and min(positions) >= 0 and steps <= {1} else None
        self.length = len(positions)
        self.register_buffer("positions", torch.tensor(positions).clamp_min(0), persistent=False)
        self.positions: Tensor
        self.register_buffer("kept", torch.tensor(positions) >= 0, persistent=False)
        self.kept: Tensor
        self.zeros = bool(positions) and min(positions) < 0

    def forward(self, x: Tensor) -> Tensor:
        """Return the chosen channels of `x` (a view where they are contiguous)."""
        if self.start is not None:
            return x.narrow(self.axis, self.start, self.length)
        chosen = x.index_select(self.axis, self.positions)
        if not self.zeros:
            return chosen
        view = [1] * x.dim()
        view[self.axis] = -1
        # Not a product: what is hidden may be infinite.
        return torch.where(self.kept.view(view), chosen, 0.0)


class ReadNorm(nn.Module):
    """Layer, group or root mean square norm of one group's channels by the statistics of all it may read."""

    def __init__(self, node: Node, own: list[int], read: list[int]) -> None:
        """Prepare the norm.

        Args:
            node: The architecture node, with `eps` (see `norm_eps`), `over`, `axis`, `norm_groups`
                (segments of the original channels) and `affine_axis` among its settings.
            own: Original indices of the channels to normalise `[K]`.
            read: Original indices of the channels that may be read `[C]`, which include `own`.
        """
        super().__init__()
        settings = node["settings"]
        self.eps = settings["eps"]
        self.centred = is_centred(node["op"])
        self.axis = int(cast(int, settings["axis"]))
        self.over = tuple(cast("list[int]", settings["over"]))
        count, total = (
            int(cast(int, settings["norm_groups"])),
            int(cast(int, settings["of_channels"])),
        )
        segment = torch.tensor(read) * count // total
        sizes = torch.bincount(segment, minlength=count).clamp_min(1).float()
        self.register_buffer("segments", segment, persistent=False)
        self.register_buffer("sizes", sizes, persistent=False)
        place = {channel: i for i, channel in enumerate(read)}
        self.register_buffer("places", torch.tensor([place[c] for c in own]), persistent=False)
        self.segments: Tensor
        self.sizes: Tensor
        self.places: Tensor
        self.affine_axis = self.axis if node["op"] == "group_norm" else None
        for label in ("weight", "bias"):
            record = node["params"].get(label)
            value = None
            if record is not None:
                value = nn.Parameter(torch.full(record["shape"], float(label == "weight")))
            self.register_parameter(label, value)

    def forward(self, read: Tensor) -> Tensor:
        """Return the normalised own channels.

        Args:
            read: Everything that may be read, `[N, ..., C, ...]`.
        """
        values = read - self._pooled(read) if self.centred else read
        variance = self._pooled(values.square()).index_select(self.axis, self.places)
        scale = (variance + norm_eps(self.eps, read.dtype)).rsqrt()
        y = values.index_select(self.axis, self.places) * scale
        weight = self.weight if isinstance(self.weight, Tensor) else None
        bias = self.bias if isinstance(self.bias, Tensor) else None
        return affine(y, weight, bias, self.affine_axis)

    def _pooled(self, x: Tensor) -> Tensor:
        """Return, for every channel, the mean of `x` over its segment."""
        values = x.mean(dim=self.over, keepdim=True) if self.over else x
        shape = list(values.shape)
        shape[self.axis] = len(self.sizes)
        sums = values.new_zeros(shape).index_add(self.axis, self.segments, values)
        view = [1] * x.dim()
        view[self.axis] = -1
        means = sums / self.sizes.to(sums.dtype).view(view)
        return means.index_select(self.axis, self.segments)


def make_bank(node: Node, operation: Operation) -> nn.Module:
    """Return the convolution or linear layer of a node.

    Raises:
        KeyError: The node has no weight.
        TypeError: Settings are of the wrong type.
        ValueError: Sizes do not fit together.
    """
    shape = node["params"]["weight"]["shape"]
    bias = "bias" in node["params"]
    settings = node["settings"]
    if operation.kind is Kind.LINEAR:
        return nn.Linear(shape[1], shape[0], bias=bias)
    groups = int(cast(int, settings.get("groups", 1)))
    dims = operation.spatial

    def sizes(name: str, default: int) -> tuple[int, ...]:
        value = settings.get(name, default)
        if isinstance(value, int):
            return (value,) * dims
        found = tuple(int(v) for v in cast("list[int]", value))
        return found * dims if len(found) == 1 else found

    if operation.kind is Kind.CONV_TRANSPOSE:
        transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 1]
        return transposed(
            shape[0],
            shape[1] * groups,
            tuple(shape[2:]),  # type: ignore[arg-type]
            stride=sizes("stride", 1),  # type: ignore[arg-type]
            padding=sizes("padding", 0),  # type: ignore[arg-type]
            output_padding=sizes("output_padding", 0),  # type: ignore[arg-type]
            groups=groups,
            bias=bias,
            dilation=sizes("dilation", 1),  # type: ignore[arg-type]
        )
    padding = settings.get("padding", 0)
    plain = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    return plain(
        shape[1] * groups,
        shape[0],
        tuple(shape[2:]),  # type: ignore[arg-type]
        stride=sizes("stride", 1),  # type: ignore[arg-type]
        padding=padding if isinstance(padding, str) else sizes("padding", 0),  # type: ignore[arg-type]
        dilation=sizes("dilation", 1),  # type: ignore[arg-type]
        groups=groups,
        bias=bias,
    )


def with_constants(bank: nn.Module, node: Node) -> nn.Module:
    """Return a layer in which what is not trained (the kernel of a blur, say) is a buffer."""
    for label, record in node["params"].items():
        if record["values"] is not None:
            delattr(bank, label)
            bank.register_buffer(label, constant(record))
    return bank


def frozen(layer: nn.Module, node: Node) -> nn.Module:
    """Return a layer in which training leaves what the user's network froze as it is.

    Args:
        layer: Of any kind.
        node: The node it stands for.
    """
    for label, record in node["params"].items():
        value = getattr(layer, label, None)
        if record.get("frozen", False) and isinstance(value, nn.Parameter):
            value.requires_grad_(False)
    return layer


@torch.no_grad()
def started(layer: nn.Module, node: Node) -> nn.Module:
    """Return a layer whose trained tensors start as the user's network did; drawn ones keep their draw.

    Args:
        layer: With PyTorch's initialisation.
        node: The node it stands for.
    """
    drawn = node["op"] in vocabulary() and vocabulary()[node["op"]].kind in BANKS
    for label, record in node["params"].items():
        value = getattr(layer, label, None)
        if isinstance(value, nn.Parameter) and record["trained"]:
            value.mul_(record.get("spread", 1.0) if drawn else 0.0).add_(float(record["fill"]))
    return layer


def constant(parameter: Parameter) -> Tensor:
    """Return the values of a parameter record that has some: numbers, or truths where all are."""
    values = parameter["values"]
    assert values is not None
    dtype = torch.bool if values and isinstance(values[0], bool) else torch.float32
    return torch.tensor(values, dtype=dtype).view(parameter["shape"])


class _ChannelNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm for any number of dimensions, as the traced operator runs it."""

    held = False

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a norm that is held stays in evaluation mode."""
        return super().train(mode and not self.held)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002, ARG002 - torch's name
        return


class _InstanceNorm(nn.modules.instancenorm._InstanceNorm):
    """Instance norm for any number of dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`, `[N, C, ...]`, normalised per example and channel."""
        return nn.functional.instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
        )


def is_held(node: Node) -> bool:
    """Return whether a batch norm stays in evaluation mode when its network is trained."""
    statistics = node["params"].get("running_mean")
    return statistics is not None and statistics.get("frozen", False)


def make_channel_norm(node: Node) -> nn.Module:
    """Return the batch or instance norm of a node."""
    count = len(node["channels"]) if node["axis"] is not None else node["shape"][0]
    settings = node["settings"]
    affine_ = "weight" in node["params"]
    tracked = "running_mean" in node["params"]
    eps = float(cast(float, settings.get("eps", 1e-5)))
    momentum = float(cast(float, settings.get("momentum", 0.1)))
    if node["op"] == "batch_norm":
        norm = _ChannelNorm(
            count,
            eps=eps,
            momentum=momentum or None,  # the trace shows a cumulative average (None) as 0
            affine=affine_,
            track_running_stats=tracked,
        )
        norm.held = is_held(node)
        return norm.train()
    return _InstanceNorm(
        count, eps=eps, momentum=momentum, affine=affine_, track_running_stats=tracked
    )
