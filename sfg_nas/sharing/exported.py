"""Small readers of the nodes of an exported graph."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

from sfg_nas.errors import ConversionError, explain
from sfg_nas.operations import Setting, canonical_name, vocabulary
from sfg_nas.sharing.traced import size_of

AS_SHAPE = {
    "expand_as": ("expand", "size"),
    "view_as": ("view", "size"),
    "reshape_as": ("reshape", "shape"),
}
RESHAPES = ("view", "reshape", "expand")
OPEN_END = 2**62  # where a slice that goes on to the end is said to stop


def free_sizes(operation: str, settings: dict[str, Setting], node: fx.Node) -> None:
    """Let the dimension of a target shape that holds the batch be whatever the batch makes it."""
    shape, free = shape_of(node), free_axis(node)
    if operation == "unflatten.int" and free is not None:
        parts, dim = settings["sizes"], settings["dim"]
        assert isinstance(parts, list)
        assert isinstance(dim, int)
        place = free - dim % (len(shape) - len(parts) + 1)
        if 0 <= place < len(parts):
            settings["sizes"] = [*parts[:place], -1, *parts[place + 1 :]]
    if operation not in RESHAPES:
        return
    sizes: list[Setting] = [*shape]
    if free is not None:
        sizes[free] = -1
    settings["shape" if operation == "reshape" else "size"] = sizes


def arguments_of(node: fx.Node) -> Iterator[tuple[str, object]]:
    """Yield the operator's argument names with the node's values; in-place variants may have names of their own."""
    target = node.target
    known = vocabulary().get(canonical_name(target)) if isinstance(target, OpOverload) else None
    schema = (known.call if known else target)._schema  # type: ignore[union-attr]
    for argument, value in zip(schema.arguments, node.args, strict=False):
        yield argument.name, value
    yield from node.kwargs.items()


def is_alias(node: fx.Node) -> bool:
    """Return whether what an operator gives has the memory of something that it takes."""
    if not isinstance(node.target, OpOverload):
        return False
    return any(result.alias_info is not None for result in node.target._schema.returns)


def is_mutable(node: fx.Node) -> bool:
    """Return whether a node's operator changes something that it takes."""
    return isinstance(node.target, OpOverload) and bool(node.target._schema.is_mutable)


def path_of(node: fx.Node) -> str:
    """Return the path of the innermost module that ran a node, empty outside of all."""
    stack = node.meta.get("nn_module_stack") or {}
    path = next(reversed(stack.values()))[0] if stack else ""
    return "" if path.startswith("_empty") else re.sub(r"@\d+", "", path)


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """Return the shape of a node's result on the example.

    Raises:
        ConversionError: The values of a tensor decide it.
    """
    sizes = tuple(size_of(size) for size in node.meta["val"].shape)
    if not all(isinstance(size, int) for size in sizes):
        raise refusal(path_of(node), f"{node.target}, whose size the values of a tensor decide")
    return tuple(integer(size) for size in sizes)


def integer(value: object) -> int:
    """Return a size, symbolic or not, as it is on the example."""
    hint = size_of(value)
    assert isinstance(hint, int)
    return hint


def free_axis(node: fx.Node, value: Tensor | None = None) -> int | None:
    """Return the dimension of a node's result (or one of them) that grows with the batch, or None."""
    found = free_axes(node, value)
    return found[0] if found else None


def free_axes(node: fx.Node, value: Tensor | None = None) -> list[int]:
    """Return the dimensions of a node's result (or one of them) that grow with the batch; of several results, none."""
    held = node.meta["val"] if value is None else value
    return [d for d, n in enumerate(held.shape if isinstance(held, Tensor) else ()) if grows(n)]


def grows(value: object) -> bool:
    """Return whether a number, or one of a list, depends on the size of the batch."""
    if isinstance(value, fx.Node):
        value = value.meta.get("val")
    if isinstance(value, list | tuple):
        return any(grows(item) for item in value)
    return isinstance(value, torch.SymInt | torch.SymFloat) and not value.node.expr.is_number


def dimensions(node: fx.Node) -> list[int]:
    """Return the dimensions of its first input that an operation works along; of one over all of them, none."""
    known = vocabulary().get(canonical_name(node.target))  # type: ignore[arg-type]
    defaults = (
        {} if known is None else {a.name: a.default_value for a in known.call._schema.arguments}
    )
    settings = defaults | dict(arguments_of(node))
    given = settings.get("dim", settings.get("dims"))
    listed = given if isinstance(given, list | tuple) else [given]
    count = node.all_input_nodes[0].meta["val"].dim()
    return [dim % count for dim in listed if isinstance(dim, int)]


def setting_of(value: object) -> Setting:
    """Return a plain JSON value for an argument; sizes are those of the example."""
    if isinstance(value, fx.Node):
        value = value.meta["val"]
    value = size_of(value)
    if isinstance(value, int) and value >= OPEN_END:
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [setting_of(v) for v in value]
    return str(value)


def bad_heads(tasks: int) -> ConversionError:
    """Return the error for heads that give something else than one tensor each."""
    return ConversionError(
        explain(
            where="convert: heads",
            rule="every head must return one tensor computed from the input",
            found=f"something else for one of {tasks} tasks",
            do="let each head return a single tensor",
        )
    )


def shared_heads(tasks: Sequence[str]) -> ConversionError:
    """Return the error for heads of several tasks that are one module, or end in the same weights."""
    return ConversionError(
        explain(
            where="convert: heads",
            rule="each task needs a head of its own",
            found=f"weights of another task's head in that of {', '.join(tasks)}",
            do="give each a copy (`copy.deepcopy`); what tasks share belongs to the backbone",
        )
    )


def mixing(node: fx.Node) -> ConversionError:
    """Return the error for an operation through which the examples of a batch reach each other."""
    return refusal(path_of(node), f"{node.target}, which mixes the examples of a batch")


def refusal(path: str, operation: str) -> ConversionError:
    """Return the error for an operation that cannot be followed."""
    return ConversionError(
        explain(
            where=f"convert: module `{path or 'backbone'}`",
            rule="every operation on activations must be one whose channels can be followed",
            found=f"operation `{operation}`",
            do="replace that module, or do it outside of the network: to the images before, or to the outputs behind",
        )
    )
