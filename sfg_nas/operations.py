"""The closed vocabulary of operations: what each does to channels, and how it is run.

A traced network, an architecture and a fixed network all speak of operations by these names. An
operation is an ATen operator (https://docs.pytorch.org/docs/stable/torch.compiler_ir.html); its
`kind` says what it may mix, which is all that the reading rule needs to know. Nothing outside
this table is ever run, so an architecture file cannot name a function of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch._ops import OpOverload

NOT_FINITE = ("float:inf", "float:-inf", "float:nan")
"""How settings that JSON has no numbers for are written."""
Setting = None | bool | int | float | str | list["Setting"]


class Kind(Enum):
    """What an operation does with channels."""

    CONV = "conv"  # reads the channels of its input, gives filters
    CONV_TRANSPOSE = "conv_transpose"
    LINEAR = "linear"
    CHANNEL_NORM = "channel_norm"  # statistics of one channel at a time
    MIXING_NORM = "mixing_norm"  # statistics over several channels
    POINTWISE = "pointwise"  # position by position, with broadcasting
    WINDOW = "window"  # over the last dimensions, channel by channel
    REDUCE = "reduce"  # over the dimensions `dim`
    ALONG = "along"  # along one dimension, whose size may change
    MOVEMENT = "movement"  # only moves values
    UNFOLD = "unfold"  # windows of each channel become channels
    FOLD = "fold"  # and back
    MIX = "mix"  # anything may reach anything


BANKS = (Kind.CONV, Kind.CONV_TRANSPOSE, Kind.LINEAR)
"""What has a bank of filters, each of which reads channels."""
NORMS = (Kind.CHANNEL_NORM, Kind.MIXING_NORM)
"""What divides by the spread of its input."""

_POINTWISE = """
relu relu6 leaky_relu prelu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh sigmoid tanh
softplus hardshrink softshrink log_sigmoid threshold exp expm1 log log1p sqrt rsqrt square abs neg
sign sin cos erf floor round reciprocal clamp clamp_min clamp_max dropout feature_dropout
alpha_dropout feature_alpha_dropout rrelu
add.Tensor add.Scalar sub.Tensor sub.Scalar rsub.Scalar rsub.Tensor mul.Tensor mul.Scalar div.Tensor
div.Scalar maximum minimum pow.Tensor_Scalar pow.Tensor_Tensor where.self addcmul addcdiv lerp.Tensor
lerp.Scalar to.dtype to.dtype_layout ones_like gt.Scalar lt.Scalar ge.Scalar
le.Scalar eq.Scalar ne.Scalar max.other min.other exp2 tan atan
clamp.Tensor nan_to_num
masked_fill.Scalar masked_fill.Tensor fill.Scalar fill.Tensor copy where.ScalarOther where.ScalarSelf
logit hypot fmod.Scalar remainder.Scalar ceil trunc frac sinh cosh asinh atan2 log2 log10 sgn
logical_and logical_or logical_not eq.Tensor gt.Tensor lt.Tensor ge.Tensor le.Tensor ne.Tensor
bitwise_and.Tensor bitwise_or.Tensor bitwise_not isnan fmax fmin erfc max_unpool2d max_unpool3d
"""
_WINDOW = """
1:max_pool1d 2:max_pool2d 3:max_pool3d 1:avg_pool1d 2:avg_pool2d 3:avg_pool3d 1:adaptive_avg_pool1d
2:adaptive_avg_pool2d 3:adaptive_avg_pool3d 2:upsample_nearest2d.vec 3:upsample_nearest3d.vec
1:upsample_nearest1d.vec 2:upsample_bilinear2d.vec 2:upsample_bicubic2d.vec
3:upsample_trilinear3d.vec 1:upsample_linear1d.vec 2:_upsample_nearest_exact2d.vec
2:reflection_pad2d 2:replication_pad2d 1:reflection_pad1d 1:replication_pad1d 3:replication_pad3d
3:reflection_pad3d 2:adaptive_max_pool2d 3:adaptive_max_pool3d 1:adaptive_max_pool1d
2:_upsample_bilinear2d_aa.vec 2:_upsample_bicubic2d_aa.vec
1:max_pool1d_with_indices 2:max_pool2d_with_indices 3:max_pool3d_with_indices
"""
_REDUCE = """
mean.dim sum.dim_IntList amax amin var.correction std.correction var.dim std.dim linalg_vector_norm
norm.ScalarOpt_dim logsumexp prod.dim_int mean sum max.dim min.dim norm.Scalar amin amax
kthvalue median.dim nanmedian.dim mode
"""
_ALONG = """
softmax.int log_softmax.int _softmax _log_softmax cumsum cumprod logcumsumexp topk sort
sort.stable cummax cummin
"""
_MOVEMENT = """
view reshape flatten.using_ints unflatten.int permute transpose.int t squeeze squeeze.dim squeeze.dims
unsqueeze expand expand_as view_as reshape_as chunk split.Tensor split.sizes split_with_sizes
tensor_split.sections slice.Tensor select.int narrow cat concat stack pixel_shuffle pixel_unshuffle
flip roll channel_shuffle constant_pad_nd pad movedim.int movedim.intlist swapaxes repeat unbind.int mT
moveaxis.int moveaxis.intlist numpy_T
index_select repeat_interleave.self_int hstack unsafe_chunk unsafe_split.Tensor
native_channel_shuffle swapdims contiguous clone detach alias rot90 slice_scatter
select_scatter diagonal tile unfold
"""
_MIX = "matmul bmm mm einsum baddbmm addmm scaled_dot_product_attention grid_sampler"


@dataclass(frozen=True)
class Operation:
    """One entry of the vocabulary.

    Attributes:
        name: The name used in architectures, for example `relu` or `mean.dim`.
        kind: What the operation does with channels.
        spatial: Number of trailing dimensions a window operation runs over, else 0.
    """

    name: str
    kind: Kind
    spatial: int = 0

    @property
    def call(self) -> OpOverload:
        """The ATen operator that runs it."""
        return _overload(self.name)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the operator's arguments, in order."""
        return tuple(a.name for a in self.call._schema.arguments)


@dataclass(frozen=True)
class Argument:
    """One argument of an operator.

    Attributes:
        name: Its name.
        kind: Its type, as the operator's schema writes it.
        keyword: Whether it is given by name alone.
        default: What stands for it where it is left out; None if there is no default.
    """

    name: str
    kind: str
    keyword: bool
    default: object


@dataclass(frozen=True)
class Ready:
    """An operation made ready to be run many times, in plain Python that `torch.compile` can follow.

    Attributes:
        operation: The entry of the vocabulary.
        call: The ATen operator.
        arguments: What it takes, in order.
    """

    operation: Operation
    call: OpOverload
    arguments: tuple[Argument, ...]

    def __reduce__(self) -> tuple[object, ...]:
        """Return how a copy is made, also in another process: operators are not copied."""
        return ready, (self.operation,)


@cache
def ready(operation: Operation) -> Ready:
    """Return an operation made ready.

    Args:
        operation: The entry of the vocabulary.
    """
    if operation.name == "view":  # a part's values need not lie as the whole's did
        operation = vocabulary()["reshape"]
    found = [
        Argument(
            a.name, str(a.type), a.kwarg_only, a.default_value if a.has_default_value() else None
        )
        for a in operation.call._schema.arguments
    ]
    return Ready(operation, operation.call, tuple(found))


@cache
def _overload(name: str) -> OpOverload:
    import torch

    packet, _, overload = name.partition(".")
    found: OpOverload = getattr(getattr(torch.ops.aten, packet), overload or "default")
    return found


@cache
def vocabulary() -> Mapping[str, Operation]:
    """Return every known operation by name."""
    table = {
        name: Operation(name, kind)
        for kind, text in (
            (Kind.POINTWISE, _POINTWISE),
            (Kind.REDUCE, _REDUCE),
            (Kind.ALONG, _ALONG),
            (Kind.MOVEMENT, _MOVEMENT),
            (Kind.MIX, _MIX),
            (Kind.CHANNEL_NORM, "batch_norm instance_norm"),
            (Kind.MIXING_NORM, "layer_norm group_norm rms_norm"),
            (Kind.LINEAR, "linear"),
            (Kind.UNFOLD, "im2col"),
            (Kind.FOLD, "col2im"),
        )
        for name in text.split()
    }
    for entry in _WINDOW.split():
        spatial, _, name = entry.partition(":")
        table[name] = Operation(name, Kind.WINDOW, int(spatial))
    for n in (1, 2, 3):
        for name in (f"conv{n}d", f"conv{n}d.padding"):
            table[name] = Operation(name, Kind.CONV, n)
        name = f"conv_transpose{n}d" + (".input" if n > 1 else "")
        table[name] = Operation(name, Kind.CONV_TRANSPOSE, n)
    return table


def is_centred(norm: str) -> bool:
    """Return whether a norm over several channels takes off their mean; a root mean square norm does not."""
    return norm != "rms_norm"


def default_eps(norm: str) -> float | None:
    """Return what a norm over several channels adds to the variance; None for the precision of what is computed."""
    return 1e-5 if is_centred(norm) else None


def canonical_name(target: OpOverload) -> str:
    """Return the vocabulary's name of an ATen operator; in-place variants lose their underscore."""
    packet, _, overload = str(target).removeprefix("aten.").partition(".")
    if packet.endswith("_") and not packet.startswith("__"):
        packet = packet[:-1]
    return packet if overload in ("default", "") else f"{packet}.{overload}"


def run_operation(
    operation: Operation | Ready,
    tensors: Mapping[str, Tensor | list[Tensor]],
    settings: Mapping[str, Setting],
    *,
    training: bool = False,
) -> Tensor | list[Tensor]:
    """Return what an operation gives for its tensors and settings.

    Args:
        operation: The entry of the vocabulary, made ready if it is run many times.
        tensors: Tensor arguments by the operator's argument names.
        settings: The other arguments by name; what is left out takes the operator's default.
        training: Whether dropout drops and norms use the statistics of the batch.
    """
    known = operation if isinstance(operation, Ready) else ready(operation)
    operation = known.operation
    if "dropout" in operation.name:
        training = training or settings.get("train") is True  # always on, as its network has it
        if not training:
            return next(iter(tensors.values()))
    # a batch norm without statistics of its own uses the batch's
    training = training or (operation.name == "batch_norm" and "running_mean" not in tensors)
    if operation.name == "reshape" and "size" in settings:  # it is a view
        settings = {"shape": settings["size"]}
    like = next(iter(tensors.values()))
    arguments: list[object] = []
    keywords: dict[str, object] = {}
    for argument in known.arguments:
        name = argument.name
        value: object
        if name in tensors:
            value = tensors[name]
        elif name in ("train", "training") and operation.kind is not Kind.MOVEMENT:
            value = training
        elif name == "use_input_stats" and training:  # of instance norm; traced in evaluation mode
            value = True
        elif name in settings:
            value = _from_setting(settings[name], argument.kind, like)
        else:
            value = argument.default
        if argument.keyword:
            keywords[name] = value
        else:
            arguments.append(value)
    result: Tensor | list[Tensor] = known.call(*arguments, **keywords)
    return result


def _from_setting(value: Setting, kind: str, like: Tensor | list[Tensor]) -> object:
    """Return a setting as an operator takes it: types by name, known indices as a tensor."""
    if isinstance(value, list) and kind == "Tensor":
        import torch

        return torch.tensor(value, device=like[0].device if isinstance(like, list) else like.device)
    if not isinstance(value, str):
        return value
    if value.startswith("torch."):
        import torch

        found = getattr(torch, value.removeprefix("torch."), value)
        kinds = (torch.dtype, torch.layout, torch.memory_format)
        return found if isinstance(found, kinds) else value
    return float(value.removeprefix("float:")) if value in NOT_FINITE else value
