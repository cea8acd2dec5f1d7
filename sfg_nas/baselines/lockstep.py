"""Networks of one make run side by side, operation by operation, so that their features can meet on the way.

The columns are traced symbolically (torch.fx), which keeps their modules: norms and dropout do in training what they
do in the network as it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from sfg_nas.errors import ConversionError, explain

Meeting = Callable[[str, list[Tensor]], list[Tensor]]
"""Maps the name of a place and the columns' features there to the features that go on."""

_POOLS = (
    *(getattr(nn, f"{kind}Pool{d}d") for kind in ("Max", "Avg", "LP") for d in (1, 2)),
    *(getattr(nn, f"{kind}Pool3d") for kind in ("Max", "Avg")),
    *(getattr(nn, f"Adaptive{kind}Pool{d}d") for kind in ("Max", "Avg") for d in (1, 2, 3)),
)
_POOL_FUNCTIONS = {
    *(getattr(functional, f"{kind}_pool{d}d") for kind in ("max", "avg") for d in (1, 2, 3)),
    *(
        getattr(functional, f"adaptive_{kind}_pool{d}d")
        for kind in ("max", "avg")
        for d in (1, 2, 3)
    ),
    *(getattr(torch, f"max_pool{d}d") for d in (1, 2, 3)),
}


def traced(network: nn.Module, *, where: str) -> fx.GraphModule:
    """Return a network as a graph of its operations, with the same modules.

    Args:
        network: Any module whose `forward` takes one tensor.
        where: What the network is, for messages.

    Raises:
        ConversionError: If its `forward` depends on the values of tensors.
    """
    try:
        return fx.symbolic_trace(network)
    except Exception as error:  # whatever the user's own code raises on a proxy
        raise ConversionError(
            explain(
                where=where,
                rule="the network's operations must not depend on the values of its features",
                found=f"{type(error).__name__}: {str(error)[:200]}",
                do="rewrite that part, or leave cross-stitch out",
            )
        ) from error


class Lockstep:
    """Runs columns of one make together."""

    def __init__(self, columns: Sequence[fx.GraphModule]) -> None:
        """Keep the columns.

        Args:
            columns: Traces of networks of one make; their operations have the same names.
        """
        self._columns = tuple(columns)
        self._nodes = list(columns[0].graph.nodes)
        own = [{node.name: node for node in column.graph.nodes} for column in columns]
        self._own = [[names[node.name] for names in own] for node in self._nodes]
        self._last_use = _last_uses(self._nodes)

    def run(self, images: Tensor, meet: Meeting, places: frozenset[str] = frozenset()) -> list[Any]:
        """Return each column's output.

        Args:
            images: `[N, C, H, W]`.
            meet: Called at each place.
            places: Names of operations after which the columns meet.
        """
        values: list[dict[str, Any]] = [{} for _ in self._columns]
        result: list[Any] = []
        for index, node in enumerate(self._nodes):
            results = [
                _result(column, own, known, images)
                for column, own, known in zip(self._columns, self._own[index], values, strict=True)
            ]
            if node.name in places:
                results = cast("list[Any]", meet(node.name, results))
            if node.op == "output":
                result = results
            for known, value in zip(values, results, strict=True):
                known[node.name] = value
                for name in self._last_use.get(index, ()):
                    del known[name]
        return result

    def shapes(self, images: Tensor) -> dict[str, torch.Size]:
        """Return the shape of each operation's result, where it is one tensor.

        Args:
            images: `[N, C, H, W]`.
        """
        column = self._columns[0]
        known: dict[str, Any] = {}
        for node in self._nodes:
            known[node.name] = _result(column, node, known, images)
        return {name: value.shape for name, value in known.items() if isinstance(value, Tensor)}

    def places(self, images: Tensor) -> list[str]:
        """Return where columns may meet: after each pooling, or where there is none, at the end of each resolution.

        Only values that every path passes through count, so that nothing goes around a meeting. A network that
        shrinks by strides meets at the last such value before each shrinking and at its end.

        Args:
            images: An example; its values do not matter.
        """
        shapes = self.shapes(images)
        cuts = [
            node for node in _cuts(self._nodes) if node.op != "placeholder" and node.name in shapes
        ]
        pooled = dict.fromkeys(n.name for n in cuts if _pools(self._columns[0], n))
        found: list[str] = []
        for place, following in zip(cuts, [*cuts[1:], None], strict=True):
            if following is None:
                closes = not _pooled_since(found, place, pooled, shapes)
            else:
                sides, after = shapes[place.name][2:], shapes[following.name][2:]
                closes = bool(sides) and sides != after and following.name not in pooled
            if place.name in pooled or closes:
                found.append(place.name)
        return found


def _pooled_since(
    found: Sequence[str],
    last: fx.Node,
    pooled: Mapping[str, None],
    shapes: Mapping[str, torch.Size],
) -> bool:
    """Return whether the last place was a pooling that made the resolution the network ends with."""
    return bool(found) and found[-1] in pooled and shapes[found[-1]][2:] == shapes[last.name][2:]


def _pools(column: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(column.get_submodule(str(node.target)), _POOLS)
    return node.op == "call_function" and node.target in _POOL_FUNCTIONS


def _cuts(nodes: Sequence[fx.Node]) -> list[fx.Node]:
    """Return the operations that every path from the image to the output passes through, in order."""
    place = {node: index for index, node in enumerate(nodes)}
    found: list[fx.Node] = []
    furthest = -1
    for index, node in enumerate(nodes):
        if node.op in ("get_attr", "output"):
            continue
        if index >= furthest and node.users:
            found.append(node)
        furthest = max([furthest, *(place[user] for user in node.users)])
    return found


def _last_uses(nodes: Sequence[fx.Node]) -> dict[int, list[str]]:
    place = {node: index for index, node in enumerate(nodes)}
    found: dict[int, list[str]] = {}
    for index, node in enumerate(nodes):
        last = max([index, *(place[user] for user in node.users)])
        found.setdefault(last, []).append(node.name)
    return found


def _result(column: fx.GraphModule, node: fx.Node, known: Mapping[str, Any], images: Tensor) -> Any:  # noqa: ANN401 (whatever the user's operation returns)
    if node.op == "placeholder":
        return images if node is next(iter(column.graph.nodes)) else node.args[0]
    if node.op == "get_attr":
        return _attribute(column, str(node.target))
    args = fx.node.map_arg(node.args, lambda other: known[other.name])
    kwargs = fx.node.map_arg(node.kwargs, lambda other: known[other.name])
    arguments = cast("tuple[Any, ...]", args)
    named = cast("dict[str, Any]", kwargs)
    if node.op == "output":
        return arguments[0]
    if node.op == "call_module":
        return column.get_submodule(str(node.target))(*arguments, **named)
    if node.op == "call_method":
        return getattr(arguments[0], str(node.target))(*arguments[1:], **named)
    assert callable(node.target)
    return node.target(*arguments, **named)


def _attribute(module: nn.Module, path: str) -> Any:  # noqa: ANN401 (a parameter, a buffer or a module)
    value: Any = module
    for name in path.split("."):
        value = getattr(value, name)
    return value
