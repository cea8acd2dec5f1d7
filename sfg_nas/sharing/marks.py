"""Marks on what does something in training alone, in a program that is exported in evaluation mode.

Dropout in evaluation mode gives what it got. When a program is made functional, or its operators are taken apart, PyTorch
leaves such steps out. A mark is an operator that PyTorch does not know, and so stays where it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.export import ExportedProgram

from sfg_nas.operations import canonical_name
from sfg_nas.sharing.exported import arguments_of, is_alias, is_mutable

DETACHED = "detach"
"""What has no gradient in training: a program that is made functional has such steps of its own."""
DROPOUTS = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
MARK = "sfg_nas.mark.default"
"""Name of the operator in a graph."""


@torch.library.custom_op("sfg_nas::mark", mutates_args=())
def mark(x: Tensor, kind: str, probability: float) -> Tensor:  # noqa: ARG001 - for who reads the graph
    """Return the input, as dropout in evaluation mode does.

    Args:
        x: Of any shape.
        kind: What is done in training: one of `DROPOUTS`, `DETACHED`, or `stochastic_depth`.
        probability: Of dropping.
    """
    return x.clone()


@mark.register_fake
def _of_its_shape(x: Tensor, kind: str, probability: float) -> Tensor:  # noqa: ARG001
    return torch.empty_like(x)


def mark_dropout(program: ExportedProgram) -> None:
    """Put marks in the place of dropout in evaluation mode.

    Args:
        program: Is changed. A value that dropout changes in place is the mark's from there on. Where a network writes
            into what dropout gave and also reads what dropout got, these are one tensor in evaluation mode and two in
            training: there is no mark, and the program is that of evaluation mode.
    """
    graph = program.graph_module.graph
    places = {node: place for place, node in enumerate(graph.nodes)}
    for node in [*graph.nodes]:
        name = canonical_name(node.target) if isinstance(node.target, OpOverload) else ""
        if name not in (MARK, *DROPOUTS) or dict(arguments_of(node)).get("train"):
            continue
        if _is_written_into(node):
            node.replace_all_uses_with(node.all_input_nodes[0])
            graph.erase_node(node)
        elif name != MARK:
            _mark_one(node, name, places)
    program.graph_module.recompile()


def _is_written_into(node: fx.Node) -> bool:
    """Return whether what a node gives is changed in place while what it got is read elsewhere, too."""
    source = node.all_input_nodes[0]
    return len(source.users) > 1 and any(
        is_mutable(user) and user.args[0] is node for user in node.users
    )


def _mark_one(node: fx.Node, kind: str, places: Mapping[fx.Node, int]) -> None:
    """Make a node of dropout a mark."""
    given = dict(arguments_of(node))
    x = given["input"]
    assert isinstance(x, fx.Node)
    if is_mutable(node):
        for user in [user for user in x.users if places.get(user, 0) > places[node]]:
            user.replace_input_with(x, node)
    node.target, node.kwargs = torch.ops.sfg_nas.mark.default, {}
    node.args = (x, kind, given["p"])  # type: ignore[assignment]


def mark_detached(program: ExportedProgram) -> None:
    """Put marks in the place of steps that detach an activation.

    Args:
        program: Is changed. A mark gives a copy: a step stays as it is where others see that its value is changed in
            place, or it sees that what it got is.
    """
    nodes = [*program.graph_module.graph.nodes]
    places = {node: place for place, node in enumerate(nodes)}
    images = {node for node in nodes if node.name in program.graph_signature.user_inputs}
    memory: dict[fx.Node, fx.Node] = {}  # the first node that has the same memory
    written: dict[fx.Node, list[int]] = {}  # where a memory is changed
    for node in nodes:
        if not images.isdisjoint(node.all_input_nodes):  # it is computed from the image
            images.add(node)
        shares = is_alias(node) and bool(node.all_input_nodes)
        memory[node] = memory[node.all_input_nodes[0]] if shares else node
        if is_mutable(node):
            written.setdefault(memory[node], []).append(places[node])
    for node in nodes:
        if node not in images or node.target is not torch.ops.aten.detach.default:
            continue
        source, seen = node.all_input_nodes[0], [node]
        for alias in seen:
            seen.extend(user for user in alias.users if is_alias(user))
        last = max(places[user] for alias in seen for user in (alias, *alias.users))
        changed = any(places[node] < place < last for place in written.get(memory[node], []))
        alone = memory[source] is source and len(source.users) == 1
        if alone or not (changed or any(is_mutable(alias) for alias in seen)):
            node.target = torch.ops.sfg_nas.mark.default
            node.args = (source, DETACHED, 0.0)
    program.graph_module.recompile()
