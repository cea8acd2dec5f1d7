"""What a network is made of, weights apart: two of one makeup run the same operations."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Hashable
from functools import partial
from types import BuiltinFunctionType, FunctionType

import torch
from torch import Tensor, nn

_PLAIN = (
    type(None), bool, int, float, complex, str, bytes, enum.Enum, type, BuiltinFunctionType,
    torch.dtype, torch.device, torch.layout, torch.memory_format,
)  # fmt: skip
_OWN = frozenset(vars(nn.Module())) - {"training", "_non_persistent_buffers_set"}
"""What every module has: weights and parts, which are looked at one by one, and hooks, of which there must be none."""
_HOOKS = sorted(name for name in _OWN if "_hooks" in name)


class _UnknownError(Exception):
    """Something whose likeness cannot be told."""


def makeup(network: nn.Module) -> Hashable | None:
    """Return what decides about the operations of a network, or None if that cannot be told.

    These are the classes of all modules, what they hold besides weights, values of buffers, shapes of parameters, and
    which of all that is shared. Hooks, closures, and attributes that are neither plain values nor functions might do
    anything: a network with such has no makeup.

    Args:
        network: Any module.
    """
    seen: dict[int, int] = {}  # numbers of modules and tensors, in the order in which they are met
    try:
        return tuple(
            (path, _number(module, seen), _module(module, seen))
            for path, module in network.named_modules(remove_duplicate=False)
        )
    except _UnknownError:
        return None


def _number(thing: object, seen: dict[int, int]) -> int:
    return seen.setdefault(id(thing), len(seen))


def _module(module: nn.Module, seen: dict[int, int]) -> Hashable:
    if any(getattr(module, name) for name in _HOOKS):
        raise _UnknownError
    own = [(name, _plain(vars(module)[name])) for name in sorted(vars(module)) if name not in _OWN]
    parameters = [
        (name, None if value is None else (_number(value, seen), _shape(value)))
        for name, value in module._parameters.items()
    ]
    buffers = [
        (name, None if value is None else (_number(value, seen), _shape(value), _digest(value)))
        for name, value in module._buffers.items()
    ]
    return type(module), tuple(own), tuple(parameters), tuple(buffers)


def _shape(value: Tensor) -> Hashable:
    return type(value), tuple(value.shape), value.dtype, value.device, value.requires_grad


def _digest(value: Tensor) -> bytes:
    if value.layout is not torch.strided or value.is_quantized or value.is_meta:
        raise _UnknownError
    content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(content.numpy().tobytes()).digest()


def _plain(value: object) -> Hashable:
    """Return an attribute as it can be compared.

    Raises:
        _UnknownError: If it cannot.
    """
    kind = type(value)
    if isinstance(value, _PLAIN):
        return kind, value
    if isinstance(value, tuple | list):
        return kind, tuple(map(_plain, value))
    if kind in (set, frozenset):
        return kind, frozenset(map(_plain, value))  # type: ignore[call-overload]
    if kind is dict:
        return kind, tuple((_plain(key), _plain(own)) for key, own in value.items())  # type: ignore[attr-defined]
    if isinstance(value, FunctionType) and value.__closure__ is None and not vars(value):
        return kind, value
    if kind is partial:
        return kind, _plain(value.func), _plain(value.args), _plain(value.keywords)  # type: ignore[attr-defined]
    raise _UnknownError
