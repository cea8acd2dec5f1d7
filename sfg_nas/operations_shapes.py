"""What an operation gives and costs, by shapes alone: run on tensors without values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sfg_nas.operations import Kind, Setting, run_operation, vocabulary

LISTS = ("cat", "concat", "stack", "hstack")
MOST_PIECES = 4096
SHAPE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What PyTorch raises for shapes and settings that do not fit together."""
Shapes = Sequence[Sequence[int]]
_TYPES = {"condition": "bool", "mask": "bool", "indices": "int64"}
"""Arguments that choose places: `where` and `masked_fill` take nothing but truths for these, unpooling whole numbers."""


def output_shape(
    name: str,
    operands: Mapping[str, Shapes],
    params: Mapping[str, Sequence[int]],
    settings: Mapping[str, Setting],
    *,
    item: int | None = None,
) -> list[int]:
    """Return the shape, batch included, that an operation gives.

    Args:
        name: A name of the vocabulary.
        operands: Argument name to the shapes that are read; several are joined along the channels.
        params: Argument name to the shape of a weight or constant.
        settings: The other arguments.
        item: Which result is meant, of an operation with several.

    Raises:
        Exception: One of `SHAPE_ERRORS`: they do not fit together.
    """
    import torch

    operation = vocabulary()[name]
    axis = -1 if operation.kind is Kind.LINEAR else 1
    tensors: dict[str, torch.Tensor | list[torch.Tensor]] = {}
    for label, shapes in operands.items():
        dtype = getattr(torch, _TYPES.get(label, "float32"))
        found = [torch.empty(tuple(shape), dtype=dtype, device="meta") for shape in shapes]
        joined = torch.cat(found, axis) if len(found) > 1 and name not in LISTS else found[0]
        tensors[label] = found if name in LISTS else joined
    for label, shape in params.items():
        dtype = getattr(torch, _TYPES.get(label, "float32"))
        tensors[label] = torch.empty(tuple(shape), dtype=dtype, device="meta")
    first = next(iter(operands.values()))[0] if operands else ()
    if _pieces(name, first, settings) > MOST_PIECES:
        raise ValueError(f"more than {MOST_PIECES} pieces")
    result = run_operation(operation, tensors, settings)
    value = result if item is None else result[item]
    if not isinstance(value, torch.Tensor):
        raise TypeError("several results, and none is chosen")
    return list(value.shape)


def _pieces(name: str, shape: Sequence[int], settings: Mapping[str, Setting]) -> int:
    """Return an upper bound of the number of tensors an operation gives."""
    packet = name.partition(".")[0]
    if packet not in ("chunk", "unbind", "unsafe_chunk", "split", "unsafe_split", "tensor_split"):
        return 1
    dim = settings.get("dim", 0)
    size = shape[dim] if isinstance(dim, int) else math.prod(shape)
    asked = settings.get("sections" if packet == "tensor_split" else "chunks")
    if isinstance(asked, int):
        return asked if packet == "tensor_split" else min(asked, size)
    each = settings.get("split_size", 1)
    return size // max(each, 1) if isinstance(each, int) else 1


def product_macs(name: str, operands: Mapping[str, Shapes], settings: Mapping[str, Setting]) -> int:
    """Return the multiply-accumulates of a product of activations, by PyTorch's FLOP counter.

    Args:
        name: A name of the vocabulary.
        operands: Argument name to the shapes that are read, for one example.
        settings: The other arguments.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    tensors: dict[str, torch.Tensor | list[torch.Tensor]] = {
        label: torch.empty(tuple(shapes[0]), device="meta") for label, shapes in operands.items()
    }
    with FlopCounterMode(display=False) as counter:
        run_operation(vocabulary()[name], tensors, settings)
    return int(counter.get_total_flops()) // 2
