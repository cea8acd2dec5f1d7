"""Products of activations and parameters, called in the midst of a `forward`, run as the linear layers that they are.

A convolution of one pixel may be written as `torch.einsum("bchw,oc->bohw", x, weight)`, `weight @ x.flatten(2)`,
`torch.tensordot(x, weight, ([1], [1]))` or `x.permute(0, 2, 3, 1) @ weight`. As a product of whatever two tensors it mixes
all that is in them, which would tie every filter before it to one group. As a linear layer it has filters, which read by
a mask on its weight. All these are read as sums over named dimensions: one that both tensors have and the result has not is
read, one that only the weight has is made of filters.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from sfg_nas.sharing.own_calls import Family, Role

_Names = tuple[str, ...]
_DOTS = "..."


@dataclass(frozen=True)
class _Plan:
    """How a product is a linear layer.

    Attributes:
        weight: Which of the two tensors is that of parameters.
        copies: Its dimensions along which it holds copies of one weight, for each example say.
    """

    weight: int
    copies: tuple[int, ...]


@dataclass(frozen=True)
class _Product:
    """A sum of products over named dimensions.

    Attributes:
        tensors: The two.
        names: Of the dimensions of each.
        result: Of those of the result.
        added: To the result, if anything.
    """

    tensors: tuple[Tensor, Tensor]
    names: tuple[_Names, _Names]
    result: _Names
    added: Tensor | None = None

    def plan(self, roles: Sequence[Role]) -> _Plan | None:
        """Return how it is a linear layer of activations, None if it is none."""
        if sorted(role.value for role in roles) != [Role.IMAGE.value, Role.PARAMETERS.value]:
            return None
        weight = roles.index(Role.PARAMETERS)
        value, names = self.tensors[weight], self.names[weight]
        others = set(self.names[1 - weight]) & set(self.result)
        copies = [d for d, name in enumerate(names) if name in others]
        if not all(bool((value == value.narrow(d, 0, 1)).all()) for d in copies):
            return None
        plan = _Plan(weight, tuple(copies))
        return plan if self.run(plan) is not None else None

    def run(self, plan: object) -> Tensor | None:
        """Return the result by a linear layer, None if it is none."""
        assert isinstance(plan, _Plan)
        x, weight = self.tensors[1 - plan.weight], self.tensors[plan.weight]
        of_x, of_weight = self.names[1 - plan.weight], self.names[plan.weight]
        for dim in reversed(plan.copies):
            weight = weight.select(dim, 0)
            of_weight = (*of_weight[:dim], *of_weight[dim + 1 :])
        kept = tuple(name for name in of_x if name not in of_weight)
        read = tuple(name for name in of_x if name in of_weight)
        made = tuple(name for name in self.result if name in of_weight)
        plain = all(len(set(names)) == len(names) for names in (of_x, of_weight, self.result))
        every = {*of_weight} == {*made, *read} and {*self.result} == {*kept, *made}
        if not plain or not every or not read or not kept:
            return None
        sizes = [weight.shape[of_weight.index(name)] for name in (*made, *read)]
        if sizes[len(made) :] != [x.shape[of_x.index(name)] for name in read]:
            return None  # broadcast
        x, weight = _in_order(x, of_x, (*kept, *read)), _in_order(weight, of_weight, (*made, *read))
        if len(read) > 1:
            x = x.flatten(len(kept))
        if len(made) != 1 or len(read) > 1:
            weight = weight.reshape(-1, x.shape[-1])
        y = self._in_place(functional.linear(x, weight), kept, made, sizes[: len(made)])
        return y if self.added is None else y + self.added

    def _in_place(self, y: Tensor, kept: _Names, made: _Names, sizes: list[int]) -> Tensor:
        """Return what a linear layer gives, its last dimension taken apart, in the order of the result."""
        if not made:
            return _in_order(y.squeeze(-1), kept, self.result)
        first = self.result.index(made[0])
        if self.result[first : first + len(made)] == made:  # move them as one
            short = (*self.result[:first], made[0], *self.result[first + len(made) :])
            y = _in_order(y, (*kept, made[0]), short)
            return y if len(made) == 1 else torch.unflatten(y, first, sizes)
        return _in_order(torch.unflatten(y, -1, sizes), (*kept, *made), self.result)


def _in_order(x: Tensor, names: _Names, wanted: _Names) -> Tensor:
    return x if names == wanted else x.permute([names.index(name) for name in wanted])


def _are_numbers(*values: object) -> bool:
    return all(isinstance(value, Tensor) and value.is_floating_point() for value in values)


def _matmul(a: Tensor, b: Tensor) -> _Product | None:
    """Read a matrix product: of the last dimension and the second last, of one example after another."""
    if not _are_numbers(a, b) or not a.dim() or not b.dim():
        return None
    of_a = (*_numbered(a.dim() - 2), "row", "read")[-a.dim() :]
    of_b = ("read",) if b.dim() == 1 else (*_numbered(b.dim() - 2), "read", "column")
    result = (
        *_numbered(max(a.dim(), b.dim()) - 2),
        *(["row"] if a.dim() > 1 else []),
        *(["column"] if b.dim() > 1 else []),
    )
    return _Product((a, b), (of_a, of_b), result)


def _numbered(count: int) -> _Names:
    """Return names of dimensions that are broadcast: counted from the last one on."""
    return tuple(str(i) for i in range(count, 0, -1))


def _addmm(added: Tensor, a: Tensor, b: Tensor) -> _Product | None:
    found = _matmul(a, b)
    return None if found is None else replace(found, added=added)


def _tensordot(a: Tensor, b: Tensor, dims: object = 2) -> _Product | None:
    """Read a product over some dimensions of each."""
    if not _are_numbers(a, b):
        return None
    if isinstance(dims, int):
        over_a, over_b = [*range(a.dim() - dims, a.dim())], [*range(dims)]
    elif isinstance(dims, list | tuple) and all(isinstance(own, list | tuple) for own in dims):
        over_a, over_b = ([*own] for own in dims)
    else:
        return None
    of_a = {d % a.dim(): f"read {i}" for i, d in enumerate(over_a)}
    of_b = {d % b.dim(): f"read {i}" for i, d in enumerate(over_b)}
    names = (
        tuple(of_a.get(d, f"a {d}") for d in range(a.dim())),
        tuple(of_b.get(d, f"b {d}") for d in range(b.dim())),
    )
    result = tuple(n for own in names for n in own if not n.startswith("read"))
    return _Product((a, b), names, result)


def _einsum(equation: object, *operands: object) -> _Product | None:
    """Read a sum over named dimensions."""
    tensors = operands[0] if len(operands) == 1 else operands
    if not isinstance(equation, str) or not isinstance(tensors, list | tuple) or len(tensors) != 2:
        return None
    a, b = tensors
    if not _are_numbers(a, b):
        return None
    terms, arrow, result = equation.replace(" ", "").partition("->")
    both = terms.split(",")
    if len(both) != 2:
        return None
    names = [tuple(_expanded(t, x.dim())) for t, x in zip(both, (a, b), strict=True)]
    every = [name for own in names for name in own]
    of_a, of_b = (tuple(name for name in own if name.isdigit()) for own in names)
    dots = of_a if len(of_a) > len(of_b) else of_b
    if arrow:
        found = tuple(_expanded(result, len(result.replace(_DOTS, "")) + len(dots)))
    else:
        found = (*dots, *sorted(n for n in every if not n.isdigit() and every.count(n) == 1))
    return _Product((a, b), (names[0], names[1]), found)


def _expanded(term: str, dims: int) -> Iterator[str]:
    """Give the name of each dimension; those that dots stand for are numbered."""
    before, dots, after = term.partition(_DOTS)
    yield from before
    if dots:
        yield from _numbered(dims - len(before) - len(after))
    yield from after


_READERS: Mapping[object, Callable[..., _Product | None]] = {
    torch.einsum: _einsum,
    torch.tensordot: _tensordot,
    torch.addmm: _addmm,
    Tensor.addmm: _addmm,
    **dict.fromkeys(
        (
            *(torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.linalg.matmul),
            *(torch.mm, Tensor.mm, torch.bmm, Tensor.bmm),
        ),
        _matmul,
    ),
}
_OTHER_NAMES = {"input": "a", "other": "b", "mat2": "b"}


def _read(
    function: object, args: Sequence[object], keywords: Mapping[str, object]
) -> _Product | None:
    given = {name: value for name, value in keywords.items() if value is not None}
    named = {_OTHER_NAMES.get(name, name): value for name, value in given.items()}
    try:
        inspect.signature(_READERS[function]).bind(*args, **named)
    except TypeError:  # other arguments
        return None
    found = _READERS[function](*args, **named)
    if found is None:
        return None
    fits = (len(n) == t.dim() for t, n in zip(found.tensors, found.names, strict=True))
    return found if all(fits) else None


PRODUCTS = Family(frozenset(_READERS), _read)
"""Calls of `matmul` (and `@`), `mm`, `bmm`, `addmm`, `tensordot` and `einsum`."""
