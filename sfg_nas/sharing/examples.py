"""Whether a network keeps the examples of a batch apart, as everything that follows channels takes for granted."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from sfg_nas.errors import ConversionError
from sfg_nas.operations import Kind, canonical_name, vocabulary
from sfg_nas.sharing.copies import copied
from sfg_nas.sharing.exported import bad_heads, dimensions, free_axes, free_axis, mixing
from sfg_nas.sharing.traced import BATCH, BackboneWithHeads, TracedNetwork

_REORDERINGS = ("flip", "roll", "index_select", "select.int")
_NEAR = 1e-4
"""Share of the largest output that rounding may make."""


def check_operation(node: fx.Node) -> None:
    """Raise a ConversionError if an operation works along the batch, leaves no place for it, or pairs its examples.

    Args:
        node: An operation on activations, in the vocabulary.
    """
    if len(free_axes(node)) > 1:
        raise mixing(node)
    name, source = canonical_name(node.target), node.all_input_nodes[0]  # type: ignore[arg-type]
    entry, free = vocabulary().get(name), free_axis(source)
    known = entry is not None and (entry.kind in (Kind.REDUCE, Kind.ALONG) or name in _REORDERINGS)
    if entry is None or free is None or not known:
        return
    along = dimensions(node)
    if free in along or not along:
        raise mixing(node)


def check_examples_are_apart(
    program: ExportedProgram, traced: TracedNetwork, network: BackboneWithHeads, example: Tensor
) -> None:
    """Raise a ConversionError if an example's outputs change with the other examples of its batch.

    Found by trying, in evaluation mode: an attention whose axes were mistaken looks like any other product. Norms that
    have no statistics but those of the batch depend on it by intention; a network with one is not tried.

    Args:
        program: The exported network.
        traced: Its operations.
        network: Backbone and heads; left as they are.
        example: An input `[N, ...]`.
    """
    by_intention = any(
        op.operation == "batch_norm" and op.settings.get("training") for op in traced.ops
    )
    if by_intention or not example.is_floating_point():
        return
    generator = torch.Generator().manual_seed(0)
    first = example[:1].detach()
    other, third = (torch.randn(first.shape, generator=generator).to(first) for _ in range(2))
    twin = copied(network, parameters=False).eval()
    started = started_parameters(twin)

    def outputs(*examples: Tensor) -> list[Tensor]:
        values = torch.func.functional_call(twin, started, (torch.cat(examples),)).values()
        if not all(isinstance(v, Tensor) for v in values):
            raise bad_heads(len(traced.tasks))
        return [v for v in values if v.dim() and len(v) % BATCH == 0]

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        found = outputs(first, other)
        if not all(bool(v.isfinite().all()) for v in (*found, *outputs(other, third))):
            # numbers below 0 have no logarithm, images of one value no deviation
            first, other, third = (
                torch.rand(first.shape, generator=generator).to(first) for _ in range(3)
            )
            found = outputs(first, other)
        for kept, changed in enumerate([(first, third), (third, other)]):
            alike = _alike(found, outputs(*changed), kept)
            if not alike and _alike(found, outputs(first, other), kept):
                raise _mixed(
                    program, started, [torch.cat([first, other]), torch.cat(changed)], kept
                )


def started_parameters(network: nn.Module) -> dict[str, Tensor]:
    """Return other numbers for the parameters that are zero, by name: what begins with a factor of zero shows nothing yet.

    Args:
        network: Any module; left as it is.
    """
    generator = torch.Generator().manual_seed(0)
    zeros = ((n, p) for n, p in network.named_parameters() if p.is_floating_point() and not p.any())
    return {name: torch.rand(p.shape, generator=generator).to(p) / 4 for name, p in zeros}


def _alike(some: list[Tensor], others: list[Tensor], example: int) -> bool:
    """Return whether one of the two examples has the same outputs in both."""
    for one, other in zip(some, others, strict=True):
        mine, yours = (v.double().tensor_split(BATCH)[example] for v in (one, other))
        finite = mine.isfinite() & yours.isfinite()  # elsewhere there is nothing to compare
        near = _NEAR * float(one.abs().nan_to_num(0.0, 0.0, 0.0).max())
        if bool(((mine - yours).abs() > near)[finite].any()):
            return False
    return True


def _mixed(
    program: ExportedProgram, started: Mapping[str, Tensor], batches: list[Tensor], kept: int
) -> ConversionError:
    """Return the error for the operation to blame.

    It is the first of whose values more than half change with one of two examples, or else the first that changes in
    the half of the other example.
    """
    module = program.module()
    assert isinstance(module, fx.GraphModule)
    for name in started.keys() & dict(module.named_parameters()).keys():
        path, _, attribute = name.rpartition(".")
        module.get_submodule(path)._parameters[attribute] = nn.Parameter(started[name])
    one, other = (_Watched(module) for _ in batches)
    for run, batch in zip((one, other), batches, strict=True):
        run.run(batch)
    half = None
    for node in module.graph.nodes:
        if node.name not in one.values:
            continue
        changed = one.values[node.name] != other.values[node.name]
        if float(changed.double().mean()) > 1 / BATCH:
            return mixing(node)
        by_example = changed.dim() and len(changed) % BATCH == 0
        if half is None and by_example and bool(changed.tensor_split(BATCH)[kept].any()):
            half = node
    assert half is not None  # the outputs change there
    return mixing(half)


class _Watched(fx.Interpreter):
    """Runs a program and keeps what each step gives."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.values: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> object:
        """Return the value of a node."""
        value: object = super().run_node(n)
        if n.op == "call_function" and isinstance(value, Tensor) and value.numel():
            self.values[n.name] = value
        return value
