from __future__ import annotations

import torch
from torch import nn

from sfg_nas.baselines import BASELINES, hard_sharing, single_task
from sfg_nas.tasks import Task

TASKS = (Task("a", "classification", outputs=3), Task("b", "regression"))
SHAPE = (1, 8, 8)


def backbone() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())


def test_every_baseline_answers_every_task() -> None:
    for name, make in BASELINES.items():
        network = make(backbone, TASKS, SHAPE).eval()
        outputs = network(torch.randn(5, *SHAPE))
        assert {task: tuple(y.shape) for task, y in outputs.items()} == {
            "a": (5, 3),
            "b": (5, 1),
        }, name


def test_hard_sharing_has_one_trunk_and_single_task_networks_share_nothing() -> None:
    shared, separate = hard_sharing(backbone, TASKS, SHAPE), single_task(backbone, TASKS, SHAPE)
    for network, expected in ((shared, True), (separate, False)):
        network(torch.randn(4, *SHAPE))["a"].sum().backward()
        trunks = [p for name, p in network.named_parameters() if "backbone" in name]
        touched = [p.grad is not None for p in trunks]
        assert all(touched) == expected
        assert any(touched)
    first = separate.networks["a"].backbone[0].weight
    assert not torch.equal(first, separate.networks["b"].backbone[0].weight)


def test_making_heads_leaves_the_statistics_alone() -> None:
    network = hard_sharing(backbone, TASKS, SHAPE)
    assert torch.equal(network.backbone[1].running_mean, torch.zeros(4))
    assert network.backbone.training
