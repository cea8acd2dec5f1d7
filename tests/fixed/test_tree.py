"""The most probable tree of whole layers or blocks, against every tree there is."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from sfg_nas.architecture import Architecture
from sfg_nas.errors import ConfigError
from sfg_nas.fixed import Stopwatch, build_network, choose, choose_within, distill
from sfg_nas.fixed.choose import Granularity, _scores, _tree
from sfg_nas.fixed.connections import connections_of
from sfg_nas.fixed.places import partitions, refines
from sfg_nas.fixed.tree import Option, Tree
from sfg_nas.groups import Groups
from sfg_nas.sharing import Supernet, convert
from tests.conversions import pair
from tests.networks import make


def undecided(supernet: Supernet, seed: int, scale: float = 1.5) -> Supernet:
    """Return a supernet whose filters, layer by layer, lean to some groups."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        logits = supernet.assignments.filter_logits
        logits.copy_(scale * torch.randn(logits.shape, generator=generator))
        for rows in supernet.wiring.layers.values():
            logits[rows] += torch.randn(logits.shape[1], generator=generator)
    return supernet


@cache
def chain(tasks: int, groups: str = "lattice") -> Supernet:
    """Return a chain of four layers, two of each resolution."""
    torch.manual_seed(3)
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(((1, 5), (5, 6), (6, 5), (5, 7))):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if i == 1 else []
    names = "abcd"[:tasks]
    heads = {t: nn.Sequential(nn.Flatten(), nn.Linear(7 * 4, 2)) for t in names}
    return convert(nn.Sequential(*layers), heads, torch.rand(2, 1, 4, 4), groups)


def tree_of(supernet: Supernet, granularity: Granularity = "layers") -> Tree:
    return _tree(supernet, connections_of(supernet), _scores(supernet), granularity, 0.0)


def every_tree(tree: Tree) -> list[tuple[float, float, np.ndarray]]:
    """Return score, cost and groups of each tree, by trying all combinations of partitions."""
    found = []
    for options in product(*tree.options):
        fine = all(
            refines(tree.groups, options[r].partition, options[s].partition)
            for r, s in tree.places.edges
        )
        if fine:
            chosen = np.zeros(tree.connections.variables, dtype=np.int64)
            for rows, option in zip(tree.places.variables, options, strict=True):
                chosen[rows] = option.chosen
            score = sum(option.score for option in options)
            found.append((score, tree.connections.cost(chosen), chosen))
    return found


def partition_at(supernet: Supernet, chosen: np.ndarray, layer: str) -> set[int]:
    return set(chosen[supernet.wiring.layers[layer].numpy()].tolist())


def test_partitions_hold_every_task_once_and_refine_by_sets() -> None:
    lattice = Groups.lattice(("a", "b", "c"))
    found = partitions(lattice)
    assert len(found) == 5
    assert len(partitions(Groups.lattice(("a", "b", "c", "d")))) == 15
    assert len(partitions(Groups.specialists(("a", "b", "c")))) == 2
    for part in found:
        assert sorted(t for g in part for t in lattice.sets[g]) == [0, 1, 2]
        assert refines(lattice, part, found[0])
        assert refines(lattice, found[-1], part)
        assert refines(lattice, found[0], part) == (part == found[0])


@pytest.mark.parametrize("granularity", ["layers", "blocks"])
@pytest.mark.parametrize(("tasks", "groups"), [(2, "specialists"), (3, "lattice")])
def test_the_tree_is_the_best_of_all(tasks: int, groups: str, granularity: Granularity) -> None:
    for seed in range(3):
        supernet = undecided(chain(tasks, groups), seed)
        tree = tree_of(supernet, granularity)
        assert len(tree.places.variables) == (4 if granularity == "layers" else 2)
        trees = every_tree(tree)
        best = choose(supernet, granularity=granularity)
        assert best.score == pytest.approx(max(score for score, *_ in trees))
        assert best.bound == pytest.approx(best.score)
        assert choose(supernet, granularity=granularity) == best
        for share in (0.6, 0.8):
            limit = share * tree.connections.everything
            fitting = [score for score, cost, _ in trees if cost <= limit]
            if not fitting:
                with pytest.raises(ConfigError, match="costs at most"):
                    choose_within(supernet, share, granularity=granularity)
                continue
            found = choose_within(supernet, share, granularity=granularity)
            assert found.cost <= limit
            assert found.score == pytest.approx(max(fitting))
            assert found.bound == pytest.approx(found.score)
            assert distill(supernet, found.allocation).macs <= found.cost


SHAPES = ["resnet", "dense-block", "inception", "unet", "convnext", "shuffle", "flatten", "dict"]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("granularity", ["layers", "blocks"])
def test_a_tree_of_any_network_builds_and_only_grows_apart(
    name: str, granularity: Granularity
) -> None:
    sample = make(name, tasks=3, groups="lattice")
    supernet = undecided(convert(sample.backbone, sample.heads, sample.x, "lattice"), 1)
    tree = tree_of(supernet, granularity)
    found = choose(supernet, granularity=granularity)
    chosen = supernet.wiring.variables_of(found.allocation).numpy()
    known = partitions(supernet.groups)
    parts = []
    for rows in tree.places.variables:
        part = tuple(sorted(set(chosen[rows].tolist())))
        assert part in known
        parts.append(part)
    for reader, source in tree.places.edges:
        assert refines(supernet.groups, parts[reader], parts[source])
    architecture = distill(supernet, found.allocation).checked()
    assert set(build_network(architecture)(torch.randn(2, *architecture.input_shape))) == set(
        supernet.tasks
    )


def test_each_branch_has_filters_in_each_layer_at_the_least_loss() -> None:
    supernet = undecided(chain(2, "specialists"), 0)
    with torch.no_grad():
        logits = supernet.assignments.filter_logits
        logits.fill_(0.0)
        logits[:, 0] = 5.0  # all to task a: the other branch would be empty
        first = supernet.wiring.layers["0"]
        logits[first, 2] += 9.0
        logits[first[0] + 5 :, 2] -= 9.0
        logits[supernet.wiring.layers["3"][2], 1] = 4.0  # the cheapest to give away
    chosen = supernet.wiring.variables_of(choose(supernet, granularity="layers").allocation)
    assert partition_at(supernet, chosen.numpy(), "0") == {2}
    for layer in ("3", "7", "10"):
        assert partition_at(supernet, chosen.numpy(), layer) == {0, 1}
        assert int((chosen[supernet.wiring.layers[layer]] == 1).sum()) == 1
    assert chosen[supernet.wiring.layers["3"][2]] == 1


def test_undecided_layers_stay_shared_as_far_as_the_tree_allows() -> None:
    supernet = chain(2, "specialists")
    names = list(supernet.wiring.layers)

    def lean(*shares: float) -> list[int]:
        """Return the branches of each layer where the specialists have these shares of p."""
        with torch.no_grad():
            p = torch.empty(supernet.wiring.variables, 3)
            for name, share in zip(names, shares, strict=True):
                p[supernet.wiring.layers[name]] = torch.tensor([share / 2, share / 2, 1 - share])
            supernet.assignments.filter_logits.copy_(p.log())
        found = choose(supernet, "threshold", threshold=0.7, granularity="layers").allocation
        return [len(set(found.layers[name])) for name in names]

    assert lean(0.1, 0.6, 0.9, 0.9) == [1, 1, 2, 2]
    assert lean(0.6, 0.6, 0.6, 0.6) == [1, 1, 1, 1]
    assert lean(0.1, 0.9, 0.6, 0.9) == [1, 2, 2, 2]
    assert lean(0.9, 0.9, 0.9, 0.45) == [2, 2, 2, 2]


def test_places_of_residual_networks_are_stages() -> None:
    supernet = pair("resnet", 2, "specialists").connections
    layers = tree_of(supernet).places
    blocks = tree_of(supernet, "blocks").places
    assert 1 < len(blocks.variables) <= len(layers.variables) < len(supernet.wiring.layers)
    assert sorted(np.concatenate(layers.variables).tolist()) == list(
        range(supernet.wiring.variables)
    )


def by_size(architecture: Architecture) -> float:
    """Return made-up microseconds: some for each node, and some for each MAC."""
    return 20.0 * architecture.graph.number_of_nodes() + architecture.macs / 100


@pytest.mark.parametrize("share", [0.75, 0.93, 1.0])
def test_a_tree_within_a_time_is_the_best_of_all(share: float) -> None:
    supernet = undecided(chain(2, "specialists"), 4)
    times = {}
    for score, _, chosen in every_tree(tree_of(supernet)):
        architecture = distill(supernet, supernet.wiring.allocation(torch.from_numpy(chosen)))
        times[score] = by_size(architecture)
    limit = share * max(times.values())
    found = choose_within(supernet, limit, cost="microseconds", granularity="layers", clock=by_size)
    assert found.score == pytest.approx(max(s for s, time in times.items() if time <= limit))
    assert found.bound == pytest.approx(found.score)
    assert found.cost == round(by_size(distill(supernet, found.allocation))) <= round(limit)


def test_filters_within_a_time_keep_it() -> None:
    supernet = undecided(chain(2, "specialists"), 4)
    whole = by_size(distill(supernet, choose(supernet).allocation))
    free = (
        supernet.assignments.log_probabilities().max(1).values.sum().item()
    )  # without a path, too
    best = choose(supernet).score
    scores = []
    for share in (0.6, 0.9, 1.0):
        found = choose_within(supernet, share * whole, cost="microseconds", clock=by_size)
        assert by_size(distill(supernet, found.allocation)) <= share * whole
        assert found.score <= found.bound == pytest.approx(free)
        scores.append(found.score)
    assert scores == sorted(scores)
    assert scores[0] < scores[2] == pytest.approx(best)
    with pytest.raises(ConfigError, match="microseconds"):
        choose_within(supernet, 1e-9, cost="microseconds", clock=by_size)


def test_all_trees_are_ranked() -> None:
    supernet = undecided(chain(3, "lattice"), 2)
    tree = tree_of(supernet)
    ranked = [score for _, score in tree.ranked()]
    assert ranked == pytest.approx(sorted((s for s, *_ in every_tree(tree)), reverse=True))


def test_a_stopwatch_measures_once_and_goes_by_its_record() -> None:
    supernet = undecided(chain(2, "specialists"), 4)
    clock = Stopwatch(repeats=3)
    found = choose_within(supernet, 1.0, cost="microseconds", granularity="blocks", clock=clock)
    architecture = distill(supernet, found.allocation)
    assert clock(architecture) == clock.record[architecture.hash]["median"] > 0
    again = Stopwatch(record={**clock.record})
    assert found == choose_within(
        supernet, 1.0, cost="microseconds", granularity="blocks", clock=again
    )
    assert again.record == clock.record
    assert clock.to_json()["threads"] == torch.get_num_threads()


def test_options_name_their_groups() -> None:
    supernet = undecided(chain(2, "specialists"), 2)
    for options in tree_of(supernet).options:
        assert all(isinstance(option, Option) for option in options)
        assert [set(option.chosen.tolist()) for option in options] == [{2}, {0, 1}]


def test_unknown_granularities_are_refused() -> None:
    with pytest.raises(ConfigError, match="granularity"):
        choose(chain(2, "specialists"), granularity="atoms")  # type: ignore[arg-type]
