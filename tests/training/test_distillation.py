from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from sfg_nas.errors import ConfigError
from sfg_nas.tasks import Task
from sfg_nas.training import Distillation, DistilledMethod, SupervisedMethod

CLASS = Task("kind", "classification", outputs=3)
NUMBER = Task("size", "regression", weight=2.0, center=5.0, scale=2.0)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.kind, self.size = nn.Linear(4, 3), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.norm(x)
        return {"kind": self.kind(x), "size": self.size(x)}


def batch() -> tuple[Tensor, dict[str, Tensor]]:
    targets = {"kind": torch.tensor([0, 1, -1, 2]), "size": torch.tensor([4.0, 5.0, math.nan, 9.0])}
    return torch.randn(4, 4), targets


def test_the_loss_of_a_classification_is_the_divergence_of_softened_probabilities() -> None:
    output, wanted = torch.randn(5, 3), torch.randn(5, 3)
    p, q = (wanted / 2).softmax(-1), (output / 2).softmax(-1)
    by_hand = 4 * (p * (p.log() - q.log())).sum(-1).mean()
    torch.testing.assert_close(CLASS.imitation(output, wanted, 2.0), by_hand)
    assert float(CLASS.imitation(wanted, wanted + 7, 2.0)) == pytest.approx(0, abs=1e-6)


def test_the_gradient_keeps_its_size_at_high_temperatures() -> None:
    wanted = torch.randn(5, 3)
    sizes = []
    for temperature in (20.0, 200.0):
        output = torch.zeros(5, 3, requires_grad=True)
        CLASS.imitation(output, wanted, temperature).backward()
        assert output.grad is not None
        sizes.append(float(output.grad.norm()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_the_loss_of_a_regression_is_in_spreads_of_the_target() -> None:
    loss = NUMBER.imitation(torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [1.0]]), 9.0)
    assert float(loss) == pytest.approx(2.5)


def test_weight_zero_is_training_without_a_teacher_and_one_forgets_the_labels() -> None:
    network, teacher = Net().eval(), Net()
    images, targets = batch()
    plain = SupervisedMethod(network, (CLASS, NUMBER)).loss(network, images, targets)
    without = DistilledMethod(network, (CLASS, NUMBER), teacher, Distillation(weight=0.0))
    torch.testing.assert_close(without.loss(network, images, targets).total, plain.total)
    only = DistilledMethod(network, (CLASS, NUMBER), teacher, Distillation(weight=1.0))
    missing = {"kind": torch.full((4,), -1), "size": torch.full((4,), math.nan)}
    total = only.loss(network, images, targets).total
    torch.testing.assert_close(only.loss(network, images, missing).total, total)
    assert float(total.detach()) > 0


def test_the_teacher_is_neither_trained_nor_changed() -> None:
    network, teacher = Net(), Net()
    images, targets = batch()
    method = DistilledMethod(network, (CLASS, NUMBER), teacher, Distillation())
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    loss = method.loss(network, images, targets)
    loss.total.backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not teacher.training
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert set(loss.parts) == {"loss/kind", "loss/size", "teacher/kind", "teacher/size"}
    assert method.module is network


@pytest.mark.parametrize("numbers", [(-0.1, 1.0), (1.1, 1.0), (0.5, 0.0), (0.5, math.inf)])
def test_impossible_numbers(numbers: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="must hold"):
        Distillation(*numbers)
