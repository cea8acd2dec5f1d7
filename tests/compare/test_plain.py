"""The options of columns with units: the units' own rate, and columns that begin as single-task networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sfg_nas.baselines import CrossStitchNetwork
from sfg_nas.compare import Setting
from sfg_nas.compare.methods import make
from sfg_nas.study import RunFiles, Study

Make = Callable[..., Study]


def prepared(make_study: Make, folder: Path, **options: float) -> tuple[object, CrossStitchNetwork]:
    """Return the method and its network."""
    changes = {f"compare.cross_stitch.{name}": value for name, value in options.items()}
    setting = Setting(make_study(changes), RunFiles(folder))
    method = make(setting, "cross-stitch").prepare(1.0, seed=0, learning_rate=0.01).method
    network = method.module
    assert isinstance(network, CrossStitchNetwork)
    return method, network


def test_units_have_a_rate_and_a_start_of_their_own(make_study: Make, tmp_path: Path) -> None:
    method, network = prepared(make_study, tmp_path, rate=20.0, alpha=0.7)
    weights, units = method.parameter_groups()
    assert weights.learning_rate is None
    assert units.learning_rate == pytest.approx(20 * 0.01)
    assert units.weight_decay == 0
    together = [id(p) for group in (weights, units) for p in group.parameters]
    assert sorted(together) == sorted(id(p) for p in network.parameters())
    assert {id(p) for p in units.parameters} == {id(unit.weights) for unit in network.units}
    expected = torch.tensor([[0.7, 0.3], [0.3, 0.7]])
    for unit in network.units:
        torch.testing.assert_close(unit.weights, expected.expand_as(unit.weights))


def test_columns_are_single_task_networks_until_they_meet(make_study: Make, tmp_path: Path) -> None:
    method, network = prepared(make_study, tmp_path, pretrain=0.5)
    task, other = (task.name for task in make_study().tasks)
    images = torch.randn(4, 1, 6, 6)
    for progress, crosses in ((0.0, False), (0.49, False), (0.5, True), (1.0, True)):
        method.before_step(progress)
        network.zero_grad()
        network(images)[task].sum().backward()
        column = next(network.columns[1].parameters())
        assert (column.grad is not None and bool(column.grad.abs().sum() > 0)) is crosses
        assert all((unit.weights.grad is not None) is crosses for unit in network.units)
    assert other in network(images)


def test_fusions_have_a_rate_of_their_own_and_the_decay_of_the_weights(
    make_study: Make, tmp_path: Path
) -> None:
    changes = {"compare.nddr.rate": 5.0, "compare.nddr.alpha": 0.6, "compare.nddr.pretrain": 0.5}
    entrant = make(Setting(make_study(changes), RunFiles(tmp_path)), "nddr")
    method = entrant.prepare(1.0, seed=0, learning_rate=0.01).method
    network = method.module
    assert isinstance(network, CrossStitchNetwork)
    weights, units = method.parameter_groups()
    assert (units.learning_rate, units.weight_decay) == (pytest.approx(0.05), None)
    assert weights.learning_rate is None
    assert network.units[0].fusions[0][0].weight[0, 0].item() == pytest.approx(0.6)
    assert not network.stitched
    method.before_step(0.5)
    assert network.stitched
    assert entrant.options == {"alpha": 0.6, "rate": 5.0, "pretrain": 0.5}
