"""The exported program of a network: functional, and in known operators as far as these reach."""

from __future__ import annotations

import linecache
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.export import Dim, ExportedProgram, default_decompositions, export

from sfg_nas.errors import ConversionError, explain
from sfg_nas.operations import canonical_name, vocabulary
from sfg_nas.sharing.copies import copied
from sfg_nas.sharing.empties import fill_empties
from sfg_nas.sharing.exported import free_axis, is_alias, is_mutable, path_of, refusal
from sfg_nas.sharing.features import leaves_of
from sfg_nas.sharing.followed import Followed
from sfg_nas.sharing.marks import MARK, mark_detached, mark_dropout
from sfg_nas.sharing.stochastic_depth import show_stochastic_depth
from sfg_nas.sharing.traced import BATCH, BackboneWithHeads

_HERE = Path(__file__).parent
_ROUNDS = 4  # a decomposition may bring operators that need one themselves
_MIXTURES = ("einsum",)  # known, but finer in parts


class _WithFeatures(nn.Module):
    """Gives the features beside the outputs, under the module paths of the original."""

    def __init__(self, network: BackboneWithHeads) -> None:
        super().__init__()
        self.backbone = network.backbone
        self.heads = network.heads

    def forward(self, x: Tensor) -> tuple[list[object], list[object]]:
        features = self.backbone(x)
        return leaves_of(features), [head(features) for head in self.heads]


def export_program(
    network: BackboneWithHeads, example: Tensor, known: Callable[[str], bool]
) -> ExportedProgram:
    """Return the program that a network runs in evaluation mode, with a free batch size.

    In-place changes become values, and operators that are not known are written in simpler ones
    where PyTorch has a decomposition.

    Args:
        network: Backbone and heads; left as it is.
        example: An input; only its shape without the batch and its type matter.
        known: Whether an operator of this canonical name can be followed.

    Raises:
        ConversionError: The network does not run on the example or cannot be exported.
    """
    # What exporting leaves behind refers to itself, and stays until Python looks for such: no second set of weights.
    twin = _WithFeatures(copied(network, parameters=False).eval())
    show_stochastic_depth(twin)
    for path, module in twin.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise refusal(path, "torch.jit.ScriptModule")
    batch = example[:1].detach().expand(BATCH, *example.shape[1:]).contiguous()
    followed = Followed()
    twin.register_forward_pre_hook(followed.begin)
    try:
        with (
            torch.no_grad(),
            torch.random.fork_rng(devices=[]),
            _quiet(),
            _one_precision(),
        ):
            with followed.hearing():
                program = export(twin, (batch,), dynamic_shapes=({0: Dim.AUTO},), strict=False)
            _check_batch_is_free(program)
            mark_dropout(program)
            mark_detached(program)
            fill_empties(program)
            return _simplified(program, known)
    except ConversionError:
        raise
    except Exception as err:
        raise _failure(err, twin) from err


def _check_batch_is_free(program: ExportedProgram) -> None:
    """Raise a ConversionError if the program holds for one size of the batch alone."""
    inputs = program.graph_signature.user_inputs
    if any(node.name in inputs and free_axis(node) == 0 for node in program.graph.nodes):
        return
    raise ConversionError(
        explain(
            where="convert",
            rule="`forward` must do the same for every size of the batch",
            found="the size as a plain number (`int(x.shape[0])`, a loop over the examples)",
            do="use `x.shape[0]` as it is, and work on all examples at once",
        )
    )


def _simplified(program: ExportedProgram, known: Callable[[str], bool]) -> ExportedProgram:
    """Return a program without in-place changes, in known operators.

    Raises:
        ConversionError: An operator on activations cannot be written in known ones.
    """
    functional = not any(_changes_a_value(node) for node in program.graph.nodes)
    first: list[fx.Node] = []
    for _ in range(_ROUNDS):
        strange = _strange(program, known)
        first = first or strange
        table = default_decompositions() if strange else {}  # slow to make
        chosen = {node.target: table[node.target] for node in strange if node.target in table}
        chosen |= {n.target: _IN_PARTS[n.target] for n in strange if n.target in _IN_PARTS}
        if functional and not chosen:
            break
        program = program.run_decompositions(chosen)
        functional = True
    for node in _strange(program, known):
        if canonical_name(node.target) not in _MIXTURES:  # type: ignore[arg-type]
            # named as the user knows it, not by what it was decomposed into
            same = [n for n in first if path_of(n) == path_of(node)] or [node]
            raise refusal(path_of(node), str(same[0].target))
    return program


def _spread_and_mean(
    spread: Callable[..., Tensor],
) -> Callable[..., tuple[Tensor, Tensor]]:
    """Return `var_mean` or `std_mean` in two operations."""

    def both(
        x: Tensor,
        dim: list[int] | None = None,
        *,
        correction: float | None = None,
        keepdim: bool = False,
    ) -> tuple[Tensor, Tensor]:
        over = dim or [*range(x.dim())]
        return spread(x, over, correction=correction, keepdim=keepdim), x.mean(over, keepdim)

    return both


_IN_PARTS = {
    torch.ops.aten.var_mean.correction: _spread_and_mean(torch.var),
    torch.ops.aten.std_mean.correction: _spread_and_mean(torch.std),
}
"""Operators that PyTorch takes apart only into what is below its own."""


def _strange(program: ExportedProgram, known: Callable[[str], bool]) -> list[fx.Node]:
    """Return the nodes on activations whose operator should be decomposed."""
    given = set(program.graph_signature.user_inputs)
    reached: set[fx.Node] = set()
    found: list[fx.Node] = []
    for node in program.graph.nodes:
        if not isinstance(node.meta.get("val"), Tensor | list | tuple):
            continue  # sizes, which depend on the batch alone
        if node.name in given or any(n in reached for n in node.all_input_nodes):
            reached.add(node)
            name = canonical_name(node.target) if isinstance(node.target, OpOverload) else ""
            if name and (name in _MIXTURES or not known(name)):
                found.append(node)
    return found


def _changes_a_value(node: fx.Node) -> bool:
    """Return whether a node writes into a tensor that is also seen elsewhere."""
    if not is_mutable(node):
        return False
    written = node.args[0]
    if not isinstance(written, fx.Node) or len(written.users) > 1:
        return True
    if not node.users or not isinstance(written.target, OpOverload):
        return True
    if canonical_name(written.target) == MARK:
        return False
    # a view shares its memory with what it was taken from
    entry = vocabulary().get(canonical_name(written.target))
    return entry is None or (is_alias(written) and not is_mutable(written))


@contextmanager
def _one_precision() -> Iterator[None]:
    """Leave out `torch.autocast` inside of `forward`, which an export cannot hold: traced steps have one precision."""
    with (
        patch.object(torch.autocast, "__enter__", lambda region: region),
        patch.object(torch.autocast, "__exit__", lambda *_: None),
    ):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from saying what becomes one message of ours, or concerns the export alone."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stderr(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _failure(err: Exception, twin: nn.Module) -> ConversionError:
    """Return the error for a network that cannot be exported, with the module to blame."""
    path, place = _blamed(err, twin)
    node = None if path else _run_again(err)
    if node is not None:
        return refusal(path_of(node), str(node.target))
    lines = str(err).strip().splitlines() or [""]
    found = f"{type(err).__name__}: {lines[0][:300]}"
    rule = "the backbone and heads must run on the example input and be exportable"
    do = "check the example's shape; keep data-dependent Python out of `forward`"
    if "data-dependent" in str(err).lower() or "DataDependent" in type(err).__name__:
        rule = "no value of a tensor may decide what `forward` does (data-dependent control flow)"
        found = f"operation `item` (a tensor turned into a Python value){place}"
        do = "write the choice with tensors (`torch.where`), or replace that module"
    elif place:
        found += place
    where = f"convert: module `{path}`" if path else "convert"
    return ConversionError(explain(where=where, rule=rule, found=found, do=do))


def _run_again(err: BaseException) -> fx.Node | None:
    """Return the operation of the exported graph that failed when it was run once more, to take it apart."""
    for frame, _ in traceback.walk_tb(err.__traceback__):
        node = frame.f_locals.get("n")
        if frame.f_code.co_name == "run_node" and isinstance(node, fx.Node):
            return node
    return None


def _blamed(err: BaseException, twin: nn.Module) -> tuple[str, str]:
    """Return the path of the innermost module at fault and the line of it, empty if unknown."""
    paths = {id(module): name for name, module in twin.named_modules()}
    found, place = "", ""
    for frame, line in traceback.walk_tb(err.__traceback__):
        owner = frame.f_locals.get("self")
        file = Path(frame.f_code.co_filename)
        if isinstance(owner, nn.Module) and paths.get(id(owner)):
            found, place = paths[id(owner)], ""
        ours = _HERE in file.parents  # what answers calls of torch stands in between
        if found and file.suffix == ".py" and "torch" not in file.parts and not ours:
            text = linecache.getline(str(file), line).strip()
            place = f" at `{text}` ({file.name}, line {line})" if text else ""
    return found, place
