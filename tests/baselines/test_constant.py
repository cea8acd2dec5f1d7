from __future__ import annotations

import torch
from torch import nn

from sfg_nas.backbones import build_backbone
from sfg_nas.baselines import constant_mask, equal_shares, make_heads
from sfg_nas.sharing import convert
from sfg_nas.tasks import Task

TASKS = (Task("a", "classification", outputs=3), Task("b", "regression"))


def backbone() -> nn.Module:
    layers = [nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 9, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def test_filters_are_given_in_equal_shares() -> None:
    heads = {task.name: task.make_head(torch.Size([9, 8, 8])) for task in TASKS}
    supernet = convert(backbone(), heads, torch.zeros(1, 1, 8, 8))
    shares = equal_shares(supernet)
    assert sorted(shares.counts().values()) == [(2, 2, 2), (3, 3, 3)]


def test_the_network_is_smaller_than_hard_sharing() -> None:
    network = constant_mask(backbone, TASKS, (1, 8, 8))
    weights = [p.numel() for name, p in network.named_parameters() if p.dim() == 4]
    # The first layer reads the image; in the second a specialist reads 4 of 6 filters, a shared one 2.
    assert sum(weights) == 9 * (6 * 1 + 3 * 4 + 3 * 4 + 3 * 2)


def test_layers_that_are_tied_in_part_are_shared_out_too() -> None:
    trunk = build_backbone("highresnet", in_channels=1, width=0.375, depth=4)
    tasks = (Task("ct", "dense-regression"), Task("organs", "segmentation", 3))
    heads = make_heads(trunk, tasks, (1, 8, 8))
    supernet = convert(trunk, heads, torch.zeros(1, 1, 8, 8))
    counts = set(equal_shares(supernet).counts().values())
    assert counts == {(2, 2, 2), (4, 4, 4)}
    assert constant_mask(lambda: trunk, tasks, (1, 8, 8))(torch.zeros(1, 1, 8, 8))
