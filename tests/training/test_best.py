"""The best epoch, of one network and of several side by side, and what a checkpoint has of it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sfg_nas.baselines import SingleTaskNetworks, single_task
from sfg_nas.tasks import Task
from sfg_nas.training.best import Best

TASKS = (Task("type", "classification", outputs=2), Task("age", "regression"))


def networks() -> SingleTaskNetworks:
    return single_task(
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), TASKS, (1, 5, 5)
    )


def fill(module: nn.Module, number: float) -> None:
    for value in module.state_dict().values():
        value.fill_(number)


def numbers(module: nn.Module) -> set[float]:
    return {float(entry) for value in module.state_dict().values() for entry in value.flatten()}


def test_single_task_networks_have_each_their_own() -> None:
    module = networks()
    best = Best(module, keep=True)
    for epoch, (kind, age) in enumerate([(0.1, 0.7), (0.5, 0.3), (0.2, 0.6)], 1):
        fill(module, epoch)
        best.note(epoch, {"score": (kind + age) / 2, "score/type": kind, "score/age": age})
        if epoch == 2:  # killed, and begun anew from its checkpoint
            module, content, tensors = networks(), best.to_json(), best.tensors
            best = Best(module, keep=True)
            best.load(content, tensors)
    assert best.epochs == {"score/type": 2, "score/age": 1}
    assert best.last == 2
    best.put_in_place()
    assert numbers(module.networks["type"]) == {2.0}
    assert numbers(module.networks["age"]) == {1.0}


def test_one_score_is_that_of_all() -> None:
    module = networks()
    best = Best(module, keep=True)
    for epoch, score in enumerate([0.1, 0.5, float("nan"), 0.5], 1):
        fill(module, epoch)
        best.note(epoch, {"score": score})
    best.put_in_place()
    assert set(best.epochs.values()) == {best.last} == {2}
    assert numbers(module) == {2.0}


def test_without_scores_the_last_weights_stay() -> None:
    module = networks()
    best = Best(module, keep=True)
    best.note(1, {"loss": 1.0})
    fill(module, 3)
    best.put_in_place()
    assert (best.last, numbers(module)) == (None, {3.0})


def test_a_checkpoint_with_one_best_epoch_for_all_is_of_other_networks() -> None:
    with pytest.raises(ValueError, match="other networks"):
        Best(networks(), keep=True).load((2, 0.5), {})
    one = Best(nn.Linear(1, 1), keep=True)
    one.load((2, 0.5), {"weight": torch.ones(1, 1)})
    assert one.epochs == {"score": 2}
