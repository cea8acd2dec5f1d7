"""What must hold for every network, group set and allocation. A property that fails raises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sfg_nas.allocation import Allocation
from sfg_nas.architecture import Architecture
from sfg_nas.cost import count_macs, count_params
from sfg_nas.fixed import FixedNetwork, build_network, distill
from sfg_nas.operations import BANKS, Kind
from sfg_nas.sharing import BackboneWithHeads, Supernet
from sfg_nas.sharing.names import stored_name
from sfg_nas.sharing.traced import TracedNetwork, TracedOp, is_kind
from tests.conversions import Pair, everything_shared

TOLERANCE = 1e-5
TRAINING_TOLERANCE = 1e-4  # norms by the statistics of six examples enlarge rounding


def same_outputs(
    found: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    what: str,
    *,
    tolerance: float = TOLERANCE,
) -> None:
    """Raise if outputs of any task differ by more than the tolerance, or are not finite."""
    assert list(found) == list(expected), f"{what}: tasks {list(found)} for {list(expected)}"
    for task, value in expected.items():
        assert found[task].shape == value.shape, f"{what}: shape of `{task}`"
        assert bool(value.isfinite().all()), f"{what}: `{task}` is not finite"
        difference = float((found[task] - value).detach().abs().max())
        scale = max(1.0, float(value.detach().abs().max()))
        assert difference <= tolerance * scale, f"{what}: `{task}` differs by {difference:.2e}"


def three_ways_equal(pair: Pair, allocation: Allocation, *, training: bool = False) -> None:
    """Raise unless connections = streams = fixed network, under one hard allocation."""
    connections = pair.connections.harden(allocation)
    streams = pair.streams.harden(allocation)
    with torch.no_grad():
        fixed = build_network(distill(connections, allocation), weights=connections)
        twin = build_network(distill(streams, allocation), weights=streams)
    tolerance = TRAINING_TOLERANCE if training else TOLERANCE
    expected = run(connections, pair.x, training=training)
    for what, network in (("streams", streams), ("fixed", fixed), ("fixed of streams", twin)):
        found = run(network, pair.x, training=training)
        same_outputs(found, expected, what, tolerance=tolerance)


@torch.no_grad()
def run(network: nn.Module, x: Tensor, *, training: bool = False) -> dict[str, Tensor]:
    """Return a network's outputs; parameters and buffers are left as they were."""
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    outputs: dict[str, Tensor] = network.train(training)(x)
    for name, value in network.named_buffers():
        value.copy_(buffers[name])
    return outputs


def shared_is_original(pair: Pair) -> Architecture:
    """Raise unless the network with everything shared is the user's own; return its graph."""
    allocation = everything_shared(pair.connections)
    for mode in (False, True):
        torch.manual_seed(7)  # dropout
        expected = run(pair.original, pair.x, training=mode)
        torch.manual_seed(7)
        found = run(pair.connections.harden(allocation), pair.x, training=mode)
        same_outputs(found, expected, f"connections, training={mode}")
    same_outputs(
        run(pair.streams.harden(allocation), pair.x), run(pair.original, pair.x), "streams"
    )
    architecture = distill(pair.connections, allocation)
    assert architecture.macs == count_macs(pair.original, pair.x)
    assert architecture.macs == pair.connections.shared_macs
    assert architecture.params == count_params(build_network(architecture))
    return architecture


def costs_are_counted(architecture: Architecture, x: Tensor) -> FixedNetwork:
    """Raise unless the graph's costs are those of the module built from it; return the module."""
    network = build_network(architecture)
    macs, params = count_macs(network, x), count_params(network)
    assert architecture.macs == macs, f"graph {architecture.macs} MACs, module {macs}"
    assert architecture.params == params, f"graph {architecture.params} parameters, module {params}"
    return network


def round_trips(architecture: Architecture, folder: Path) -> None:
    """Raise unless JSON and GraphML files give the same architecture back."""
    assert Architecture.from_json(architecture.to_json()) == architecture
    architecture.save(folder / "graph.json")
    architecture.to_graphml(folder / "graph.graphml")
    for name in ("graph.json", "graph.graphml"):
        loaded = Architecture.load(folder / name)
        assert loaded == architecture, f"{name} changed the architecture"
        assert loaded.hash == architecture.hash
        assert loaded.in_order() == architecture.in_order()
        assert (loaded.macs, loaded.params) == (architecture.macs, architecture.params)


def filters_in_one_group(supernet: Supernet, allocation: Allocation) -> None:
    """Raise unless every filter stands in exactly one node, that of its group, or is dead."""
    architecture = distill(supernet, allocation)
    assert faults_of(architecture) == []
    tasks, sets = supernet.tasks, supernet.groups.sets
    for layer in supernet.wiring.reading:
        if layer.name not in allocation.layers:
            continue
        given = [[tasks[i] for i in sorted(sets[g])] for g in allocation.layers[layer.name]]
        nodes = [architecture.node(n) for n in architecture.graph]
        nodes = [node for node in nodes if node["layer"] == layer.ops[0]]
        held = [channel for node in nodes for channel in node["channels"]]
        assert len(set(held)) == len(held), f"`{layer.name}`: a filter in two groups"
        for node in nodes:
            same = [channel for channel, group in enumerate(given) if group == node["group"]]
            assert node["channels"] == same, f"`{layer.name}`: filters of {node['group']}"


def faults_of(architecture: Architecture) -> list[str]:
    """Return lint's faults, without those of an allocation that leaves a head without an image."""
    faults = architecture.lint()
    starved = any("not fed by the image" in fault for fault in faults)
    ignored = ("is not fed by the image", "`input@") if starved else ()
    return [fault for fault in faults if not any(words in fault for words in ignored)]


# --- who owns which part of a parameter --------------------------------------------------------


@dataclass(frozen=True)
class Owned:
    """A parameter of the backbone whose slices along one axis belong to groups.

    Attributes:
        op: The operation that uses it.
        argument: What it is to the operation: `weight`, `bias`, ...
        value: The parameter.
        axis: The axis that follows the filters.
        owners: Set of tasks of each slice along it.
    """

    op: TracedOp
    argument: str
    value: nn.Parameter
    axis: int
    owners: tuple[frozenset[int], ...]

    def slices(self, *, of: int, inside: bool) -> Tensor:
        """Return the indices of slices whose owner holds (or does not hold) a task."""
        chosen = [i for i, owner in enumerate(self.owners) if (of in owner) is inside]
        return torch.tensor(chosen, dtype=torch.long)


def owned_parameters(supernet: Supernet, owner_of_row: Tensor) -> Iterator[Owned]:
    """Yield the backbone's parameters with the owner of each of their slices.

    Args:
        supernet: The supernet.
        owner_of_row: Extended index of the owner of every row of the masks `[V + E]`.
    """
    wiring = supernet.wiring
    parameters = dict(supernet.network.named_parameters())
    filters = {op: layer for layer in wiring.reading for op in layer.ops}
    for op in wiring.network.ops:
        if op.head is not None or op.name not in wiring.rows or wiring.is_copied(op.name):
            continue  # what a gate has is of all groups
        for argument, key in op.statics.items():
            for target in wiring.network.static_targets(key):
                value = parameters.get(stored_name(target, parameters))
                if value is None:
                    continue
                axis, rows = _axis_of(op, argument, value), wiring.rows[op.name][1]
                if op.name in filters:
                    rows = filters[op.name].filters
                    if argument == "weight" and wiring.network.moved_target(key) == target:
                        axis = _axis_of_filters(wiring.network, key, value, axis)
                    if axis == 0 and filters[op.name].transposed and argument == "weight":
                        rows = filters[op.name].channels
                if axis is None or value.shape[axis] != len(rows):
                    continue
                owners = tuple(supernet.groups.extended[i] for i in owner_of_row[rows].tolist())
                yield Owned(op, argument, value, axis, owners)


def _axis_of_filters(
    network: TracedNetwork, key: str, value: Tensor, axis: int | None
) -> int | None:
    """Return the axis of a parameter along which the filters of a weight lie that is it in another order."""
    target = network.static_target(key)
    if target is not None:
        return axis
    [target] = network.static_targets(key)
    index = torch.arange(value.numel(), dtype=torch.float).view_as(value)
    first = network.static_value(key, {target: index})[0].long().reshape(-1)
    places = torch.unravel_index(first, value.shape)
    along = [d for d, own in enumerate(places) if len(own.unique()) == 1 and value.shape[d] > 1]
    return along[0] if len(along) == 1 else None


def _axis_of(op: TracedOp, argument: str, value: Tensor) -> int | None:
    """Return the axis of a parameter that follows the channels of an operation's output."""
    if is_kind(op, Kind.CONV_TRANSPOSE) and argument == "weight":
        return 1 if op.settings.get("groups", 1) == 1 else 0
    if is_kind(op, *BANKS, Kind.CHANNEL_NORM) or op.operation in ("group_norm", "prelu"):
        return 0
    if op.operation in ("layer_norm", "rms_norm"):
        return 0
    sizes = [i for i, size in enumerate(value.shape) if size > 1]
    return sizes[0] if len(sizes) == 1 else None


def hard_owners(supernet: Supernet, allocation: Allocation) -> Tensor:
    """Return the extended owner of every row of the masks under an allocation `[V + E]`."""
    hard = supernet.wiring.variables_of(allocation)
    return torch.cat([hard, torch.arange(len(supernet.groups.extended))])


def reading_rule_holds(
    supernet: Supernet, allocation: Allocation, x: Tensor, *, fill: float = 1.7
) -> None:
    """Raise if a change of filters whose groups lack a task ever changes that task's output.

    Args:
        supernet: The supernet.
        allocation: Its allocation.
        x: A batch.
        fill: What the filters are changed to; deep networks stay finite with the default.
    """
    supernet.harden(allocation)
    before = run(supernet, x)
    owned = list(owned_parameters(supernet, hard_owners(supernet, allocation)))
    assert owned, "no parameter has an owner"
    kept = [(part.value, part.value.detach().clone()) for part in owned]
    for index, task in enumerate(supernet.tasks):
        with torch.no_grad():
            for part in owned:
                foreign = part.slices(of=index, inside=False)
                part.value.index_fill_(part.axis, foreign, fill)
        after = run(supernet, x)
        with torch.no_grad():
            for value, saved in kept:
                value.copy_(saved)
        assert torch.equal(after[task], before[task]), f"foreign filters reach `{task}`"


def foreign_gradients_are_zero(supernet: Supernet, allocation: Allocation, x: Tensor) -> None:
    """Raise unless each task's loss has no gradient at all on what serves only other tasks."""
    supernet.harden(allocation).train()
    owners = hard_owners(supernet, allocation)
    for index, task in enumerate(supernet.tasks):
        no_foreign_gradient(supernet, owners, index, gradients_of(supernet, task, x))


def own_gradients_are_not_zero(supernet: Supernet, allocation: Allocation, x: Tensor) -> None:
    """Raise unless a task trains every filter that the architecture keeps for it.

    To be asked of allocations that starve no filter: one that sees a constant may have no gradient.
    """
    supernet.harden(allocation).train()
    architecture = distill(supernet, allocation)
    owners = hard_owners(supernet, allocation)
    for task in supernet.tasks:
        gradients = gradients_of(supernet, task, x)
        part = architecture.only(task)
        kept = {(part.node(n)["layer"], c) for n in part.graph for c in _reading(part, n)}
        for owned in owned_parameters(supernet, owners):
            if owned.argument != "weight" or not is_kind(owned.op, Kind.CONV, Kind.LINEAR):
                continue
            if supernet.wiring.is_copied(
                owned.op.name
            ):  # a gate gives each channel for every group
                continue
            gradient = gradients[id(owned.value)]
            for channel in range(len(owned.owners)):
                if (owned.op.name, channel) not in kept:
                    continue
                moved = gradient is not None and gradient.select(owned.axis, channel).any()
                assert moved, f"`{task}` does not train filter {channel} of `{owned.op.name}`"


def everything_holds(pair: Pair, chosen: Mapping[str, Allocation]) -> None:
    """Raise unless all three forms agree under all allocations, and the reading rule holds under the random one.

    Args:
        pair: Both forms of a network.
        chosen: Allocations by name, `random` among them.
    """
    for allocation in chosen.values():
        three_ways_equal(pair, allocation)
        three_ways_equal(pair, allocation, training=True)
        assert faults_of(distill(pair.connections, allocation)) == []
    shared_is_original(pair)
    for supernet in (pair.connections, pair.streams):
        reading_rule_holds(supernet, chosen["random"], pair.x)
        foreign_gradients_are_zero(supernet, chosen["random"], pair.x)


def gradients_of(supernet: Supernet, task: str, x: Tensor) -> dict[int, Tensor | None]:
    """Return the gradient of a loss of one task for every parameter, by `id`."""
    buffers = {name: value.clone() for name, value in supernet.named_buffers()}
    output = supernet(x)[task]
    scale = torch.linspace(0.5, 1.5, output.numel()).view_as(output)
    parameters = supernet.weight_parameters()
    loss = (output * scale).sum() + 0.5 * (output * scale).square().sum()
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    with torch.no_grad():
        for name, value in supernet.named_buffers():
            value.copy_(buffers[name])
    return {id(p): g for p, g in zip(parameters, found, strict=True)}


def no_foreign_gradient(
    supernet: Supernet, owners: Tensor, task: int, gradients: Mapping[int, Tensor | None]
) -> None:
    """Raise if a filter, bias or norm parameter of groups without a task has any gradient."""
    for owned in owned_parameters(supernet, owners):
        gradient = gradients[id(owned.value)]
        foreign = owned.slices(of=task, inside=False)
        if gradient is not None and bool(gradient.index_select(owned.axis, foreign).any()):
            name = supernet.tasks[task]
            raise AssertionError(
                f"`{name}` trains {owned.argument} of `{owned.op.name}`, which serves others"
            )


def _reading(architecture: Architecture, name: str) -> list[int]:
    """Return the filters of a node that has a filter bank, else nothing."""
    node = architecture.node(name)
    return node["channels"] if node["op"].startswith(("conv", "linear")) else []


def tasks_permute(pair: Pair, permuted: Supernet, allocation: Allocation) -> None:
    """Raise unless the same network with its tasks in another order gives the same results.

    Args:
        pair: A converted network.
        permuted: The same network, weights included, with its heads in another order and the same
            sets of tasks as groups.
        allocation: An allocation of the pair.
    """
    old, new = pair.connections.groups, permuted.groups
    index = [
        new.sets.index(frozenset(new.tasks.index(old.tasks[i]) for i in group))
        for group in old.sets
    ]
    layers = {name: tuple(index[g] for g in row) for name, row in allocation.layers.items()}
    moved = Allocation(new, layers)
    expected = run(pair.connections.harden(allocation), pair.x)
    found = run(permuted.harden(moved), pair.x)
    same_outputs({task: found[task] for task in expected}, expected, "permuted tasks")
    one, two = distill(pair.connections, allocation), distill(permuted, moved)
    assert (one.macs, one.params) == (two.macs, two.params)
    assert len(one.graph) == len(two.graph)


def with_heads_in_order(original: BackboneWithHeads, tasks: list[str]) -> dict[str, nn.Module]:
    """Return the heads of a network by task, in a given order."""
    by_task = dict(zip(original.tasks, original.heads, strict=True))
    return {task: by_task[task] for task in tasks}
