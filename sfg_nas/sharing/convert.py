"""From a user's network to a supernet."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sfg_nas.allocation import Allocation
from sfg_nas.errors import ConfigError, ConversionError, explain
from sfg_nas.groups import Groups, GroupSpec
from sfg_nas.operations import BANKS
from sfg_nas.sharing.assignments import ESTIMATORS, Assignments, Estimator
from sfg_nas.sharing.common import common_values
from sfg_nas.sharing.copies import called_weights, copied, mixed_weights
from sfg_nas.sharing.frozen import STATISTICS, frozen_tensors
from sfg_nas.sharing.gates import with_gates
from sfg_nas.sharing.hidden import check_training, hidden_operations
from sfg_nas.sharing.limits import Limits
from sfg_nas.sharing.names import plain_parameters
from sfg_nas.sharing.presets import PresetName, activation_first, preset_of
from sfg_nas.sharing.recognise import recognise
from sfg_nas.sharing.start import Start, StartKind
from sfg_nas.sharing.supernet import RELAXATIONS, Relaxation, Supernet
from sfg_nas.sharing.trace import trace
from sfg_nas.sharing.traced import BackboneWithHeads, TracedNetwork, is_kind
from sfg_nas.sharing.unfused import unfuse
from sfg_nas.sharing.wiring import Wiring, wire

Tracer = Callable[[BackboneWithHeads, Tensor], TracedNetwork]
"""Gives the operations of a network on an example, as `trace` does."""


def convert(  # noqa: PLR0913 - the public face: each argument has its own default
    backbone: nn.Module,
    heads: Mapping[str, nn.Module],
    example_input: Tensor,
    groups: GroupSpec | Groups = "specialists",
    *,
    relaxation: Relaxation | None = None,
    preset: PresetName = "corrected",
    estimator: Estimator = "straight-through",
    soft_share: float = 0.5,
    start: StartKind | Start = "thirds",
    branch_from: int = 0,
    hierarchical: bool = False,
    seed: int = 0,
    tracer: Tracer = trace,
) -> Supernet:
    """Return a supernet made of copies of a backbone and its heads.

    Args:
        backbone: Any module whose operations are in the vocabulary; it is not changed.
        heads: Task name to a module on the backbone's output that returns one tensor.
        example_input: `[N, C, H, W]` (one to three spatial dimensions); values do not matter. The
            stream form holds for its size: sizes that `forward` computes with are its own.
        groups: `specialists` (one group per task and one of all), `lattice` (every subset), or a
            list such as `[["age"], ["gender", "race"], "all"]`.
        relaxation: `connections` (one masked convolution per layer) or `streams` (the paper's
            form: one convolution per layer and group); None for the preset's own.
        preset: `corrected` (the paper's model as stated) or `iccv2019` (what its published code does:
            streams, p itself as the sampler's logits, and more; see `docs/iccv2019.md`).
        estimator: `straight-through`, `soft`, `soft-first` or `mixed`, see `Assignments`.
        soft_share: When `soft-first` changes over, or how often `mixed` draws soft masks.
        start: Where the probabilities start; of a kind alone the confidence is the preset's.
        branch_from: First searchable layer, counted from 0, that may branch; those before it stay shared.
        hierarchical: Whether a term per layer is added to each filter's logits.
        seed: Seed of the start and of the mask noise.
        tracer: Gives the network's operations; another than `trace` may know them from a network that is alike.

    Raises:
        ConversionError: An operation's channels cannot be followed; names module and operation.
        ConfigError: Groups, start, preset, or the name or number of another choice are wrong.
    """
    chosen = preset_of(preset, relaxation)
    _check_choices(relaxation, estimator, soft_share)
    form: Relaxation = relaxation or ("streams" if chosen.streams_only else "connections")
    _check_given(backbone, heads, example_input)
    parsed = Groups.parse(tuple(heads), groups)
    if not isinstance(start, Start):
        start = Start(kind=start, confidence=chosen.confidence)
    network = copied(BackboneWithHeads(backbone, heads))
    if chosen.activation_first:
        activation_first(network)
    unfuse(network)
    recognise(network, example_input)
    wiring = _wiring(network, example_input, parsed, tracer)
    layers = {name: rows.tolist() for name, rows in wiring.layers.items()}
    probabilities = start.probabilities(parsed, layers, wiring.variables, seed)
    assignments = Assignments(
        probabilities,
        len(parsed.extended),
        layer_of=_layer_of(wiring) if hierarchical else None,
        kept=_kept(wiring, branch_from, preset) if branch_from else None,
        estimator=estimator,
        soft_share=soft_share,
        seed=seed,
        preset=chosen,
    )
    supernet = Supernet(network, wiring, assignments, relaxation=form, preset=chosen)
    return supernet.train(backbone.training).to(example_input.device)


def _check_choices(relaxation: object, estimator: object, soft_share: float) -> None:
    """Raise a ConfigError for a relaxation or an estimator that does not exist, or a share that is none."""
    for where, name, known in (
        ("relaxation", relaxation, (None, *RELAXATIONS)),
        ("estimator", estimator, ESTIMATORS),
    ):
        if name not in known:
            rule = f"one of {', '.join(filter(None, known))} is needed"
            raise ConfigError(explain(where=where, rule=rule, found=repr(name), do="choose one"))
    if not 0 <= soft_share <= 1:
        rule, found = "a number from 0 to 1 is needed", repr(soft_share)
        raise ConfigError(explain(where="soft_share", rule=rule, found=found, do="change it"))


def _check_given(backbone: object, heads: object, example: object) -> None:
    """Raise a ConversionError if something else than modules and a tensor was given, or modules without weights."""
    if not isinstance(heads, Mapping):
        rule, do = "a mapping from task to module is needed", "pass such as {'age': head}"
        raise _wrong("heads", rule, type(heads).__name__, do)
    named = {"backbone": backbone} | {f"heads.{task}": head for task, head in heads.items()}
    for where, module in named.items():
        if not isinstance(module, nn.Module):
            raise _wrong(where, "a torch module is needed", type(module).__name__, "pass a module")
        for name, value in (*module.named_parameters(), *module.named_buffers()):
            if is_lazy(value):
                do = "run the backbone and the heads on a batch once"
                rule = "lazy modules need to have seen a batch"
                raise _wrong(f"{where}.{name}", rule, "no size yet", do)
    if not isinstance(example, Tensor):
        found, do = type(example).__name__, "pass a tensor such as `torch.zeros(2, 3, 64, 64)`"
        raise _wrong("example_input", "a tensor [N, C, H, W] is needed", found, do)
    if not example.dim() or not example.numel():
        rule, do = "an example must have values", "pass at least one image"
        raise _wrong("example_input", rule, f"none in a tensor of {tuple(example.shape)}", do)


def _wrong(where: str, rule: str, found: str, do: str) -> ConversionError:
    return ConversionError(explain(where=f"convert: {where}", rule=rule, found=found, do=do))


def _wiring(network: BackboneWithHeads, example: Tensor, groups: Groups, tracer: Tracer) -> Wiring:
    traced = tracer(network, example)
    state = {name: value.detach() for name, value in network.state_dict(keep_vars=True).items()}
    called = called_weights(network, traced)
    check_training(network, traced, example)
    hidden = hidden_operations(network, traced, example, called)
    common = common_values(traced, state, _moved(network))
    limits = Limits(mixed_weights(traced, state), called, hidden, common)
    banks = {op.statics["weight"] for op in traced.ops if is_kind(op, *BANKS)}
    weights = {key: traced.static_value(key, state) for key in banks}
    channels = with_gates(network, traced, example, groups, limits, weights)
    wiring = wire(channels, groups, weights)
    if not wiring.layers:
        rule = "at least one convolution or linear layer must be free to choose its group"
        do = "give a backbone with filters that are not all tied to the image"
        raise _wrong("backbone", rule, f"none among {len(traced.ops)} operations", do)
    return wiring


def _moved(network: BackboneWithHeads) -> frozenset[str]:
    """Return the keys of what training moves: parameters, and the statistics of norms."""
    buffers = (name for name, _ in network.named_buffers(remove_duplicate=False))
    statistics = {name for name in buffers if name.rpartition(".")[2] in STATISTICS}
    return (plain_parameters(network) | statistics) - frozen_tensors(network)


def _layer_of(wiring: Wiring) -> Tensor:
    """Return the first layer in which each variable appears, `[V]`."""
    layer_of = torch.full((wiring.variables,), -1, dtype=torch.long)
    for index, rows in reversed([*enumerate(wiring.layers.values())]):
        layer_of[rows] = index
    return layer_of


def _kept(wiring: Wiring, branch_from: int, preset: PresetName) -> Tensor:
    """Return the group of all tasks for each variable of the layers before `branch_from`, else -1, `[V]`."""
    layers = list(wiring.layers.values())
    everyone = frozenset(range(len(wiring.groups.tasks)))
    for holds, rule, found in (
        (
            0 <= branch_from <= len(layers),
            f"`0 <= branch_from <= {len(layers)}` (the number of searchable layers) must hold",
            str(branch_from),
        ),
        (
            everyone in wiring.groups.sets,
            "layers that stay shared need a group of all tasks",
            str(wiring.groups.names),
        ),
        (
            preset == "corrected",
            "masks of this preset leave every group now and then, so that no layer stays shared",
            preset,
        ),
    ):
        if not holds:
            message = explain(
                where="sharing.branch_from", rule=rule, found=found, do="change it, or the groups"
            )
            raise ConfigError(message)
    kept = torch.full((wiring.variables,), -1, dtype=torch.long)
    for rows in layers[:branch_from]:
        kept[rows] = wiring.groups.sets.index(everyone)
    return kept


def random_allocation(supernet: Supernet, seed: int = 0) -> Allocation:
    """Return an allocation drawn uniformly, in which every head can be reached by the image.

    Args:
        supernet: The supernet whose layers are allocated.
        seed: Seed of the draw.
    """
    wiring = supernet.wiring
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randint(len(wiring.groups), (wiring.variables,), generator=generator)
    needed = sorted({_widest(wiring.groups, task) for task in range(len(wiring.groups.tasks))})
    for rows in wiring.layers.values():
        _keep_open(draw, rows, needed, generator)
    return wiring.allocation(draw)


def _widest(groups: Groups, task: int) -> int:
    """Return the first of the largest groups that serve a task."""
    serving = [g for g, members in enumerate(groups.sets) if task in members]
    return max(serving, key=lambda g: len(groups.sets[g]))


def _keep_open(draw: Tensor, rows: Tensor, needed: list[int], generator: torch.Generator) -> None:
    """Give each needed group a filter of a layer, in place, so that a path stays open for it."""
    places = torch.tensor(sorted(set(rows.tolist())))
    order = places[torch.randperm(len(places), generator=generator)].tolist()
    for group in needed:
        if bool((draw[places] == group).any()):
            continue
        for row in order:
            holder = int(draw[row])
            if holder not in needed or int((draw[places] == holder).sum()) > 1:
                draw[row] = group
                break
