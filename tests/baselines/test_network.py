from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sfg_nas.baselines import BASELINES, hard_sharing, make_heads, single_task
from sfg_nas.baselines.network import ByTask
from sfg_nas.errors import ConversionError
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


class Several(nn.Module):
    """Gives a list, as a pyramid of features does."""

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images]


@pytest.mark.parametrize(
    ("backbone", "words"),
    [
        (nn.Conv2d(1, 4, 3), r"^backbone: it must run on the study's images, 3x8x8; found Runtime"),
        (Several(), r"to features \[N, ...\]; found a list for one image 3x8x8; return these"),
        (nn.Flatten(0), r"found a tensor \[192\] for one image"),
    ],
)
def test_a_backbone_that_does_not_fit_is_said(backbone: nn.Module, words: str) -> None:
    with pytest.raises(ConversionError, match=words):
        make_heads(backbone, [Task("a", "regression")], (3, 8, 8))
    assert backbone.training


@pytest.mark.parametrize("baseline", BASELINES)
def test_tasks_may_have_any_name(baseline: str) -> None:
    """Torch's own dictionary of modules refuses the names of its methods, and dots."""
    names = ["type", "a.b", "a_b", "train", "type_"]
    tasks = [Task(name, "regression") for name in names]
    first, copy = (BASELINES[baseline](backbone, tasks, SHAPE).eval() for _ in range(2))
    copy.load_state_dict(first.state_dict())
    images = torch.randn(2, *SHAPE)
    outputs = first(images)
    assert list(outputs) == names
    for name, output in copy(images).items():
        torch.testing.assert_close(output, outputs[name])


def test_ordinary_names_stay_in_the_names_of_weights() -> None:
    modules = {name: nn.Linear(1, 1) for name in ("age", "größe", "weight")}
    assert set(ByTask(modules).state_dict()) == set(nn.ModuleDict(modules).state_dict())
