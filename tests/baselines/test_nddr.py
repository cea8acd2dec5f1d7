"""NDDR units by hand, what they cost, and which weights each task's gradient reaches."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sfg_nas.backbones import build_backbone
from sfg_nas.baselines import NDDRUnit, cross_stitch, nddr, single_task
from sfg_nas.cost import count_macs
from sfg_nas.tasks import Task

TASKS = (Task("a", "classification", outputs=3), Task("b", "regression"))
SHAPE = (1, 16, 16)


def vgg() -> nn.Module:
    return build_backbone("vgg11", in_channels=1, width=0.0625, depth=4, image_size=16)


def test_a_unit_fuses_all_channels_as_computed_by_hand() -> None:
    unit = NDDRUnit((1, 2, 1, 1), 2, alpha=0.9).eval()
    first = torch.tensor([[[[1.0]], [[2.0]]]])
    second = torch.tensor([[[[10.0]], [[4.0]]]])
    norm = (1 + 1e-5) ** 0.5  # a fresh batch norm's statistics are 0 and 1
    one, other = (column.flatten() * norm for column in unit([first, second]))
    assert one.tolist() == pytest.approx([0.9 * 1 + 0.1 * 10, 0.9 * 2 + 0.1 * 4])
    assert other.tolist() == pytest.approx([0.1 * 1 + 0.9 * 10, 0.1 * 2 + 0.9 * 4])
    with (
        torch.no_grad()
    ):  # channel 0 of the second column into channel 1 of the first, and something negative
        weight = unit.fusions[0][0].weight
        weight.zero_()
        weight[1, 2] = 3.0
        weight[0, 0] = -1.0
    one, _ = unit([first, second])
    assert (one.flatten() * norm).tolist() == pytest.approx([0.0, 30.0])


@pytest.mark.parametrize("shape", [(5, 2), (5, 2, 4), (5, 2, 4, 4), (5, 2, 3, 3, 3)])
def test_units_fit_features_of_any_number_of_axes(shape: tuple[int, ...]) -> None:
    unit = NDDRUnit(shape, 3, alpha=0.8)
    columns = unit([torch.randn(shape) for _ in range(3)])
    assert [tuple(column.shape) for column in columns] == [shape] * 3
    weight = unit.fusions[1][0].weight.flatten(1)
    assert weight[0].tolist() == pytest.approx([0.1, 0, 0.8, 0, 0.1, 0])


def test_columns_meet_where_cross_stitch_networks_do_and_fusing_costs() -> None:
    network = nddr(vgg, TASKS, SHAPE)
    assert network.places == cross_stitch(vgg, TASKS, SHAPE).places
    images = torch.zeros(1, *SHAPE)
    alone = count_macs(single_task(vgg, TASKS, SHAPE), images)
    # 4, 8 and 16 filters on 8 x 8, 4 x 4 and 2 x 2 pixels; two columns, each reading both
    fusing = 2 * 2 * (4 * 4 * 64 + 8 * 8 * 16 + 16 * 16 * 4)
    assert count_macs(network, images) == alone + fusing


def test_gradients_cross_unless_the_columns_are_alone() -> None:
    network = nddr(vgg, TASKS, SHAPE)
    column = next(network.columns[1].parameters())
    for stitched in (True, False):
        network.stitched = stitched
        network.zero_grad()
        network(torch.randn(4, *SHAPE))["a"].sum().backward()
        assert (column.grad is not None and bool(column.grad.abs().sum() > 0)) is stitched
        own, other = (fusion[0].weight.grad for fusion in network.units[-1].fusions)
        assert (own is not None) is stitched
        assert other is None or not other.any()  # the last fusion of b is no business of a's
