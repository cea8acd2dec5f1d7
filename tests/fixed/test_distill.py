"""Distilled architectures: costs, files and the network that everything shared gives."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import random_allocation
from tests.conversions import VARIANTS, Variant, label, pair
from tests.networks import CASES, GROUPS
from tests.properties import costs_are_counted, faults_of, round_trips, shared_is_original


@pytest.mark.parametrize("variant", VARIANTS, ids=label)
def test_architectures_are_sound_and_count_what_they_cost(variant: Variant, tmp_path: Path) -> None:
    found = pair(*variant)
    architecture = distill(found.connections, random_allocation(found.connections, 3))
    assert faults_of(architecture) == []
    costs_are_counted(architecture, found.x)
    round_trips(architecture, tmp_path)


@pytest.mark.parametrize(
    "name", [n for n, case in sorted(CASES.items()) if case.groups != "no-all"]
)
def test_everything_shared_is_the_network_itself(name: str) -> None:
    assert GROUPS
    shared_is_original(pair(name))


def test_one_task_alone_is_a_smaller_network_with_the_same_output() -> None:
    found = pair("resnet")
    allocation = random_allocation(found.connections, 3)
    architecture = distill(found.connections, allocation)
    network = build_network(architecture, weights=found.connections).eval()
    task = architecture.tasks[0]
    part = network.only(task)
    with torch.no_grad():
        whole, alone = network(found.x), part(found.x)
    assert list(alone) == [task]
    torch.testing.assert_close(alone[task], whole[task])
    assert part.architecture.macs < architecture.macs


@pytest.mark.parametrize("name", ["resnet", "vgg"])
def test_training_changes_weights_but_not_the_architecture(name: str) -> None:
    found = pair(name)
    allocation = random_allocation(found.connections, 3)
    before = distill(found.connections, allocation)
    state = {k: v.clone() for k, v in found.connections.state_dict().items()}
    with torch.no_grad():
        for value in found.connections.network.parameters():
            value.add_(0.1)
    after = distill(found.connections, allocation)
    found.connections.load_state_dict(state)
    assert after == before
    assert after.hash == before.hash
    assert after.to_json() == before.to_json()


@pytest.mark.parametrize("name", ["resnet", "convnext", "unet"])
def test_a_deep_copy_of_the_network_runs_its_own_layers(name: str) -> None:
    found = pair(name)
    allocation = random_allocation(found.connections, 3)
    network = build_network(distill(found.connections, allocation), weights=found.connections)
    network.eval()
    twin = copy.deepcopy(network)
    with torch.no_grad():
        before = network(found.x)
        for value in network.parameters():
            value.add_(1.0)
        after, moved = twin(found.x), network(found.x)
    for task, expected in before.items():
        torch.testing.assert_close(after[task], expected)
        assert not torch.allclose(moved[task], expected)
