from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sfg_nas.allocation import Allocation
from sfg_nas.errors import ArchitectureError, ConfigError
from sfg_nas.groups import Groups
from sfg_nas.sharing import Supernet, convert, random_allocation
from tests.conversions import (
    VARIANTS,
    Variant,
    allocations,
    everything_shared,
    label,
    pair,
    uniform_allocation,
)
from tests.networks import conv, pooled
from tests.properties import (
    foreign_gradients_are_zero,
    gradients_of,
    no_foreign_gradient,
    own_gradients_are_not_zero,
    reading_rule_holds,
    run,
    shared_is_original,
    tasks_permute,
    with_heads_in_order,
)

EVERY_NETWORK = pytest.mark.parametrize("variant", VARIANTS, ids=label)


def small() -> Supernet:
    """Return a supernet of two layers and two tasks that a test may change."""
    backbone = nn.Sequential(conv(3, 4), nn.BatchNorm2d(4), nn.ReLU(), conv(4, 5), nn.ReLU())
    heads = {"age": pooled(5)(1), "sex": pooled(5)(2)}
    return convert(backbone, heads, torch.randn(2, 3, 8, 8), seed=3)


@EVERY_NETWORK
def test_reading_rule(variant: Variant) -> None:
    both = pair(*variant)
    for name in ("random", "layer by layer"):
        reading_rule_holds(both.connections, allocations(both.connections)[name], both.x)


@EVERY_NETWORK
def test_no_gradient_on_what_serves_only_others(variant: Variant) -> None:
    both = pair(*variant)
    for name in ("random", "uniform", "first group"):
        allocation = allocations(both.connections)[name]
        foreign_gradients_are_zero(both.connections, allocation, both.x)


@EVERY_NETWORK
def test_gradient_on_what_serves_the_task(variant: Variant) -> None:
    both = pair(*variant)
    allocation = allocations(both.connections)["random"]
    own_gradients_are_not_zero(both.connections, allocation, both.x)


@pytest.mark.parametrize("name", ["vgg", "resnet", "convnext", "norm-head", "shuffle"])
def test_no_gradient_on_others_under_sampled_masks(name: str) -> None:
    both = pair(name)
    supernet = both.connections.relax().train()
    for _ in range(3):
        state = supernet.generator_state()
        owners = supernet.assignments.sample().argmax(1)
        for index, task in enumerate(supernet.tasks):
            supernet.set_generator_state(state)  # the same draw for the forward pass
            no_foreign_gradient(supernet, owners, index, gradients_of(supernet, task, both.x))


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v[2] != "no-all" and v[0] != "dilated"])
def test_everything_shared_is_the_users_network(variant: Variant) -> None:
    shared_is_original(pair(*variant))


@pytest.mark.parametrize("name", ["vgg", "resnet", "shuffle", "convnext", "tuple", "norm-head"])
def test_permuted_tasks_permute_the_result(name: str) -> None:
    both = pair(name)
    tasks = [*reversed(both.connections.tasks)]
    old = both.connections.groups
    sets = [[old.tasks[i] for i in sorted(group)] for group in reversed(old.sets)]
    heads = with_heads_in_order(both.original, tasks)
    permuted = convert(both.original.backbone, heads, both.x, Groups.explicit(tasks, sets))
    for allocation in allocations(both.connections).values():
        tasks_permute(both, permuted, allocation)
    assert torch.allclose(permuted.expected_cost(), both.connections.expected_cost())


def test_hardened_masks_hold_in_both_modes_and_relax_again() -> None:
    supernet = small()
    x = torch.randn(3, 3, 8, 8)
    assert not supernet.hardened
    relaxed = supernet.eval()(x)["age"]
    allocation = random_allocation(supernet, seed=1)
    assert supernet.harden(allocation) is supernet
    assert supernet.hardened
    first, second = supernet(x)["age"], supernet(x)["age"]
    assert torch.equal(first, second)
    assert not torch.equal(first, relaxed)
    assert supernet.relax() is supernet
    assert torch.equal(supernet(x)["age"], relaxed)


def test_training_draws_masks_and_evaluation_does_not() -> None:
    supernet = small()
    x = torch.randn(3, 3, 8, 8)
    supernet.train()
    outputs = [supernet(x)["age"] for _ in range(6)]
    assert any(not torch.equal(outputs[0], other) for other in outputs[1:])
    supernet.eval()
    assert torch.equal(supernet(x)["age"], supernet(x)["age"])


def test_generator_state_repeats_the_draws() -> None:
    supernet = small().train()
    x = torch.randn(3, 3, 8, 8)
    supernet(x)
    state = supernet.generator_state()
    expected = [supernet(x)["sex"] for _ in range(3)]
    torch.manual_seed(99)  # the global stream plays no part
    supernet.set_generator_state(state)
    found = [supernet(x)["sex"] for _ in range(3)]
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_state_dict_round_trip() -> None:
    one, two = small(), small()
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(torch.randn_like(parameter))
    x = torch.randn(3, 3, 8, 8)
    assert not torch.equal(one.eval()(x)["age"], two.eval()(x)["age"])
    two.load_state_dict(one.state_dict())
    assert torch.equal(one(x)["age"], two(x)["age"])
    assert one.allocation() == two.allocation()


def test_deepcopy_is_independent() -> None:
    supernet = small().eval()
    x = torch.randn(3, 3, 8, 8)
    twin = copy.deepcopy(supernet)
    before = supernet(x)["age"]
    assert torch.equal(twin(x)["age"], before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1.0)
    twin.harden(random_allocation(twin, seed=2))
    assert torch.equal(supernet(x)["age"], before)
    assert not supernet.hardened
    assert not torch.equal(twin(x)["age"], before)


@pytest.mark.parametrize("name", ["convnext", "weight-standard"])
def test_deepcopy_of_intercepted_modules_is_independent(name: str) -> None:
    both = pair(name)
    original = both.connections.harden(random_allocation(both.connections, seed=0))
    twin = copy.deepcopy(original)
    twin.harden(everything_shared(twin))
    assert all(p is not q for p, q in zip(twin.parameters(), original.parameters(), strict=True))
    expected = run(both.original, both.x)
    found = run(twin, both.x)
    assert all(torch.allclose(found[t], expected[t], atol=1e-5) for t in expected)


def test_parameters_are_divided_into_weights_and_assignments() -> None:
    supernet = small()
    weights = {id(p) for p in supernet.weight_parameters()}
    assignments = {id(p) for p in supernet.allocation_parameters()}
    assert not weights & assignments
    assert weights | assignments == {id(p) for p in supernet.parameters()}
    assert len(assignments) == 1


def test_straight_through_gradients_reach_every_assignment() -> None:
    supernet = small().train()
    outputs = supernet(torch.randn(4, 3, 8, 8))
    sum(out.square().sum() for out in outputs.values()).backward()
    gradient = supernet.assignments.filter_logits.grad
    assert gradient is not None
    assert bool(gradient.isfinite().all())
    assert bool((gradient.abs().sum(1) > 0).all())


def test_assignment_gradients_agree_with_finite_differences() -> None:
    supernet = small().double().eval()  # relaxed probabilities as weights
    x = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    logits = supernet.assignments.filter_logits
    loss = sum(out.square().sum() for out in supernet(x).values())
    (gradient,) = torch.autograd.grad(loss, [logits])
    for v, g in ((0, 0), (3, 2), (8, 1)):
        with torch.no_grad():
            values = []
            for step in (1e-5, -2e-5):
                logits[v, g] += step
                values.append(sum(out.square().sum() for out in supernet(x).values()))
            logits[v, g] += 1e-5
        slope = float((values[0] - values[1]) / 2e-5)
        assert slope == pytest.approx(float(gradient[v, g]), rel=1e-4, abs=1e-8)


def test_prediction_modes() -> None:
    supernet = small().train()
    x = torch.randn(3, 3, 8, 8)
    hard = supernet.predict(x)["sex"]
    assert hard.shape == (1, 3, 2)
    assert supernet.training
    draws = supernet.predict(x, mode="sampled", draws=7)["sex"]
    assert draws.shape == (7, 3, 2)
    assert float(draws.std(0).max()) > 0
    assert torch.equal(supernet.predict(x, mode="relaxed")["sex"][0], supernet.eval()(x)["sex"])
    supernet.harden(supernet.allocation())
    assert torch.equal(supernet(x)["sex"], hard[0])
    with pytest.raises(ConfigError, match="found 'soft'"):
        supernet.predict(x, mode="soft")  # type: ignore[arg-type]


def test_temperature_must_be_positive() -> None:
    supernet = small()
    supernet.temperature = 0.25
    assert supernet.temperature == 0.25
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="temperature > 0"):
            supernet.temperature = wrong


def test_wrong_allocations_are_refused() -> None:
    supernet = small()
    rows = dict(supernet.allocation().layers)
    first = next(iter(rows))
    groups = supernet.groups
    for wrong, message in (
        (Allocation(Groups.specialists(["age", "tone"]), rows), "groups .* are expected"),
        (Allocation(groups, {first: rows[first]}), "each searchable layer once"),
        (Allocation(groups, rows | {first: rows[first][1:]}), "4 filters are expected; found 3"),
    ):
        with pytest.raises(ArchitectureError, match=message):
            supernet.harden(wrong)


def test_tied_filters_must_share_their_group() -> None:
    supernet = pair("resnet", 2, "specialists").connections
    rows = {name: list(row) for name, row in everything_shared(supernet).layers.items()}
    tied = [name for name in rows if name in ("blocks.1.conv2", "blocks.1.shortcut.0")]
    assert len(tied) == 2
    rows[tied[0]][0] = 0
    changed = Allocation(supernet.groups, {name: tuple(row) for name, row in rows.items()})
    with pytest.raises(ArchitectureError, match=r"tied to those of `blocks\.1\."):
        supernet.harden(changed)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.integers(0, 10_000))
def test_random_allocations_keep_every_head_within_reach(seed: int) -> None:
    supernet = pair("vgg", 2, "specialists").connections
    allocation = random_allocation(supernet, seed=seed)
    assert allocation == random_allocation(supernet, seed=seed)
    everyone = supernet.groups.sets.index(supernet.groups.everyone)
    assert all(everyone in row for row in allocation.layers.values())


def test_uniform_allocations_differ_by_seed() -> None:
    supernet = pair("vgg", 2, "specialists").connections
    assert uniform_allocation(supernet, 0) != uniform_allocation(supernet, 1)
    assert random_allocation(supernet, 0) != random_allocation(supernet, 1)
