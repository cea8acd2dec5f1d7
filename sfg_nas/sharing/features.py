"""The tensors in what a backbone returns: in lists, dicts and whatever PyTorch knows, and in dataclasses."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass

from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from sfg_nas.errors import ConversionError, explain, is_out_of_memory, shaped


@contextmanager
def running_on(image_shape: Sequence[int]) -> Iterator[None]:
    """Say that a backbone does not run on images, where a pass of it inside a `with` fails.

    Args:
        image_shape: C, H, W.

    Raises:
        ConversionError: In place of what torch says of sizes that do not fit.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        rule = f"it must run on the study's images, {shaped(image_shape)}"
        do = "check its channels and sizes"
        found = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        raise ConversionError(explain(where="backbone", rule=rule, found=found, do=do)) from error


def leaves_of(features: object) -> list[object]:
    """Return what a backbone's output consists of, in order.

    Args:
        features: A tensor, or containers of tensors and other values.
    """
    found: list[object] = []
    for leaf in tree_leaves(features):
        parts = _parts(leaf)
        for _, value in parts:
            found += leaves_of(value)
        if not parts:
            found.append(leaf)
    return found


def with_leaves(features: object, leaves: Iterator[object]) -> object:
    """Return containers like those of a backbone's output, with other values in them.

    Args:
        features: The output; left as it is.
        leaves: A value for each that `leaves_of` gives, in order.
    """
    own, spec = tree_flatten(features)
    return tree_unflatten([_with_leaves(leaf, leaves) for leaf in own], spec)


def _with_leaves(leaf: object, leaves: Iterator[object]) -> object:
    parts = _parts(leaf)
    if not parts:
        return next(leaves)
    twin = copy.copy(leaf)
    for name, value in parts:
        object.__setattr__(twin, name, with_leaves(value, leaves))  # it may be frozen
    return twin


def _parts(leaf: object) -> list[tuple[str, object]]:
    """Return the fields of a dataclass, with their values; nothing of anything else."""
    if not is_dataclass(leaf) or isinstance(leaf, type):
        return []
    return [(field.name, getattr(leaf, field.name)) for field in fields(leaf)]
