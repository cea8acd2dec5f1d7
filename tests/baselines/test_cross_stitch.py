"""Cross-Stitch units by hand, identity units against single-task networks, and where columns meet."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas.backbones import BACKBONES, build_backbone
from sfg_nas.baselines import CrossStitchUnit, cross_stitch, single_task
from sfg_nas.errors import ConversionError
from sfg_nas.tasks import Task

TASKS = (Task("a", "classification", outputs=3), Task("b", "regression"))
SHAPE = (1, 16, 16)


class Own(nn.Module):
    """A user's network: pooling as a function, a residual add, a branch that is no place to meet."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.first(x)), 2)
        return x + functional.relu(self.second(x))


def vgg() -> nn.Module:
    return build_backbone("vgg11", in_channels=1, width=0.0625, depth=4, image_size=16)


def resnet() -> nn.Module:
    return build_backbone("resnet10", in_channels=1, width=0.0625, image_size=16)


def test_a_unit_mixes_channels_as_computed_by_hand() -> None:
    unit = CrossStitchUnit(2, 2, alpha=0.9)
    with torch.no_grad():
        unit.weights[1] = torch.tensor([[0.5, -1.0], [2.0, 0.25]])
    first = torch.tensor([[[[1.0]], [[2.0]]]])
    second = torch.tensor([[[[10.0]], [[4.0]]]])
    one, other = unit([first, second])
    assert one.flatten().tolist() == pytest.approx([0.9 * 1 + 0.1 * 10, 0.5 * 2 - 1.0 * 4])
    assert other.flatten().tolist() == pytest.approx([0.1 * 1 + 0.9 * 10, 2.0 * 2 + 0.25 * 4])


def test_three_tasks_share_the_rest_equally() -> None:
    unit = CrossStitchUnit(1, 3, alpha=0.8)
    torch.testing.assert_close(unit.weights.sum(2), torch.ones(1, 3))
    assert unit.weights[0, 0].tolist() == pytest.approx([0.8, 0.1, 0.1])


@pytest.mark.parametrize("backbone", [vgg, resnet, Own])
@pytest.mark.parametrize("training", [True, False])
def test_identity_units_are_single_task_networks(
    backbone: Callable[[], nn.Module], training: bool
) -> None:
    torch.manual_seed(3)
    alone = single_task(backbone, TASKS, SHAPE).train(training)
    torch.manual_seed(3)
    stitched = cross_stitch(backbone, TASKS, SHAPE, alpha=1.0).train(training)
    images = torch.randn(4, *SHAPE)
    wanted, found = alone(images), stitched(images)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    stitched.stitched = False
    assert all(torch.equal(wanted[name], stitched(images)[name]) for name in wanted) or training


def test_gradients_cross_where_units_let_them() -> None:
    images = torch.randn(4, *SHAPE)
    for alpha, crosses in ((1.0, False), (0.9, True)):
        network = cross_stitch(vgg, TASKS, SHAPE, alpha=alpha)
        network(images)["a"].sum().backward()
        first = next(network.columns[1].parameters())
        reached = first.grad is not None and bool(first.grad.abs().sum() > 0)
        assert reached is crosses
        assert network.units[0].weights.grad is not None


@pytest.mark.parametrize(
    ("backbone", "count"), [(vgg, 3), (resnet, 4), (Own, 1)], ids=["vgg", "resnet", "own"]
)
def test_columns_meet_after_each_pooling_or_resolution(
    backbone: Callable[[], nn.Module], count: int
) -> None:
    network = cross_stitch(backbone, TASKS, SHAPE)
    assert len(network.places) == count
    if backbone is Own:
        assert "max_pool2d" in network.places[0]


@pytest.mark.parametrize("kind", list(BACKBONES))
def test_every_backbone_of_the_registry_has_places(kind: str) -> None:
    def make() -> nn.Module:
        return build_backbone(kind, in_channels=1, width=0.0625, image_size=32)

    network = cross_stitch(make, TASKS, (1, 32, 32))
    assert len(network.places) >= 1
    outputs = network(torch.randn(2, 1, 32, 32))
    assert outputs["a"].shape == (2, 3)


def test_a_network_that_looks_at_its_features_is_refused() -> None:
    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            return x if x.mean() > 0 else -x

    with pytest.raises(ConversionError, match="cross-stitch: backbone"):
        cross_stitch(Looks, TASKS, SHAPE)
