"""The promises of the sharing core, over a zoo of networks, group sets and allocations."""

from __future__ import annotations

import copy

import pytest
import torch

from sfg_nas.sharing import random_allocation
from tests.conversions import VARIANTS, Variant, allocations, label, pair
from tests.networks import CASES
from tests.properties import (
    filters_in_one_group,
    foreign_gradients_are_zero,
    own_gradients_are_not_zero,
    reading_rule_holds,
    three_ways_equal,
)

every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=label)


@every_variant
def test_connections_streams_and_fixed_network_are_one_function(variant: Variant) -> None:
    found = pair(*variant)
    for allocation in allocations(found.connections).values():
        three_ways_equal(found, allocation)


@every_variant
def test_the_loss_of_a_task_leaves_filters_of_others_alone(variant: Variant) -> None:
    found = pair(*variant)
    for allocation in allocations(found.connections).values():
        filters_in_one_group(found.connections, allocation)
        foreign_gradients_are_zero(found.connections, allocation, found.x)


@pytest.mark.parametrize("name", ["vgg", "resnet", "unet"])
def test_filters_of_a_task_do_feel_its_loss(name: str) -> None:
    found = pair(name)
    own_gradients_are_not_zero(found.connections, random_allocation(found.connections, 3), found.x)


@pytest.mark.parametrize("name", sorted(CASES))
def test_changing_filters_of_others_changes_nothing(name: str) -> None:
    found = pair(name)
    reading_rule_holds(found.connections, random_allocation(found.connections, 5), found.x)


def test_masks_are_drawn_in_training_and_resume_exactly() -> None:
    found = copy.deepcopy(pair("vgg").connections).relax().train()
    state = found.generator_state()
    first = found.assignments.sample()
    second = found.assignments.sample()
    assert not torch.equal(first, second)
    found.set_generator_state(state)
    assert torch.equal(found.assignments.sample(), first)
    assert torch.equal(found.assignments.sample(), second)


def test_probabilities_receive_gradient_through_hard_masks() -> None:
    found = copy.deepcopy(pair("vgg").connections).relax().train()
    sum(out.square().mean() for out in found(pair("vgg").x).values()).backward()
    gradient = found.assignments.filter_logits.grad
    assert gradient is not None
    assert float(gradient.abs().sum()) > 0
