"""Weights of the tasks' losses: by hand, against torchjd's own, and over an interruption."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from sfg_nas.errors import ConfigError, TrainingError
from sfg_nas.sharing import convert
from sfg_nas.tasks import Task
from sfg_nas.training import Loss, Settings, SupervisedMethod, make_fabric
from sfg_nas.training.state import TrainingState
from sfg_nas.training.weighting import (
    GradientAggregated,
    UncertaintyWeighted,
    aggregator,
    aggregators,
    weighted,
)

TASKS = (Task("a", "regression"), Task("b", "regression", weight=2.0))


class Two(nn.Module):
    """One shared weight, and a weight of its own for each task."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Parameter(torch.tensor([0.5, -1.0]))
        self.a = nn.Parameter(torch.tensor(1.0))
        self.b = nn.Parameter(torch.tensor(1.0))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        common = images @ self.shared
        return {"a": (self.a * common)[:, None], "b": (self.b * common)[:, None]}


IMAGES = torch.tensor([[1.0, 2.0], [0.5, -1.0]])
TARGETS = {"a": torch.tensor([1.0, -2.0]), "b": torch.tensor([-3.0, 0.5])}


def gradients(network: nn.Module, loss: Loss) -> dict[str, Tensor]:
    network.zero_grad()
    loss.backward() if loss.backward is not None else loss.total.backward()
    return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


def task_gradients() -> dict[str, dict[str, Tensor]]:
    found = {}
    for task in TASKS:
        network = Two()
        own = task.weight * task.loss(network(IMAGES)[task.name], TARGETS[task.name])
        own.backward()
        found[task.name] = {
            n: torch.zeros_like(p) if p.grad is None else p.grad
            for n, p in network.named_parameters()
        }
    return found


def test_uncertainty_is_the_formula_of_the_paper() -> None:
    network = Two()
    method = UncertaintyWeighted(SupervisedMethod(network, TASKS), TASKS)
    plain = SupervisedMethod(network, TASKS).loss(network, IMAGES, TARGETS)
    torch.testing.assert_close(method.loss(network, IMAGES, TARGETS).total, plain.total)
    with torch.no_grad():
        method.log_variances.copy_(torch.tensor([0.7, -0.4]))
    first, second = (plain.parts[f"loss/{name}"].item() for name in "ab")
    wanted = torch.tensor([-0.7, 0.4]).exp() @ torch.tensor([first, 2 * second]) + (0.7 - 0.4) / 2
    total = method.loss(network, IMAGES, TARGETS).total
    torch.testing.assert_close(total, wanted)
    total.backward()
    assert method.log_variances.grad is not None
    expected = -torch.exp(torch.tensor(-0.7)) * first + 0.5
    torch.testing.assert_close(method.log_variances.grad[0], expected)
    assert method.parameter_groups()[-1].parameters == [method.log_variances]
    other = UncertaintyWeighted(SupervisedMethod(network, TASKS), TASKS)
    other.load_state_tensors(method.state_tensors())
    assert torch.equal(other.log_variances, method.log_variances)
    assert method.epoch_values()["weight/b"] == pytest.approx(1.4918, rel=1e-4)


def test_a_variance_learns_only_from_batches_with_a_label_and_a_weight_above_0() -> None:
    tasks = (Task("a", "regression"), Task("b", "regression"), Task("c", "regression", weight=0.0))
    alone = UncertaintyWeighted(SupervisedMethod(Two(), tasks[:1]), tasks[:1])

    class Three(Two):
        def forward(self, images: Tensor) -> dict[str, Tensor]:
            outputs = super().forward(images)
            return outputs | {"c": outputs["b"]}

    method = UncertaintyWeighted(SupervisedMethod(Three(), tasks), tasks)
    with torch.no_grad():
        method.log_variances.copy_(torch.tensor([0.5, -2.0, -3.0]))
        alone.log_variances.fill_(0.5)
    unknown = torch.full((2,), torch.nan)
    targets = {"a": TARGETS["a"], "b": unknown, "c": TARGETS["b"]}
    loss = method.loss(method.module, IMAGES, targets)
    torch.testing.assert_close(loss.total, alone.loss(alone.module, IMAGES, targets).total)
    loss.total.backward()
    assert method.log_variances.grad is not None
    assert method.log_variances.grad[0] != 0
    assert method.log_variances.grad[1:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", ["Sum", "Mean", "UPGrad", "MGDA"])
def test_gradients_are_aggregated_where_tasks_meet_and_only_there(name: str) -> None:
    network = Two()
    method = weighted(SupervisedMethod(network, TASKS), TASKS, f"torchjd:{name}")
    found = gradients(network, method.loss(network, IMAGES, TARGETS))
    alone = task_gradients()
    jacobian = torch.stack([alone["a"]["shared"], alone["b"]["shared"]])
    torch.testing.assert_close(found["shared"], aggregator(name, 2)(jacobian))
    torch.testing.assert_close(found["a"], alone["a"]["a"])
    torch.testing.assert_close(found["b"], alone["b"]["b"])


def test_what_one_task_happens_not_to_move_is_aggregated_with_all_else() -> None:
    """A batch without labels of a task halves the mean of two, as the aggregation has it."""
    network = Two()
    method = weighted(SupervisedMethod(network, TASKS), TASKS, "torchjd:Mean")
    targets = {"a": TARGETS["a"], "b": torch.full_like(TARGETS["b"], torch.nan)}
    found = gradients(network, method.loss(network, IMAGES, targets))
    torch.testing.assert_close(found["shared"], task_gradients()["a"]["shared"] / 2)


def test_a_task_has_its_whole_gradient_on_its_own_filters_of_a_supernet() -> None:
    """All filters of a layer are one weight there, whoever owns them."""
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Sigmoid(), nn.Conv2d(6, 6, 3), nn.Sigmoid())
    tasks = (Task("a", "regression"), Task("b", "regression"))
    heads = {task.name: task.make_head(torch.Size([6, 2, 2])) for task in tasks}
    supernet = convert(backbone, heads, torch.zeros(2, 1, 6, 6)).train()
    allocation = supernet.wiring.allocation(torch.tensor([0, 0, 1, 1, 2, 2] * 2))
    supernet.harden(allocation)
    plain = SupervisedMethod(supernet, tasks)
    images, targets = torch.rand(4, 1, 6, 6), {name: torch.randn(4) for name in "ab"}
    summed = gradients(supernet, plain.loss(supernet, images, targets))
    method = weighted(plain, tasks, "torchjd:Mean")
    mean = gradients(supernet, method.loss(supernet, images, targets))
    for name, value in summed.items():
        if name.endswith("original") and "backbone" in name:
            share = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.5, 0.5]).view(6, 1, 1, 1)
            torch.testing.assert_close(mean[name], share * value)


def test_the_sum_of_gradients_is_the_gradient_of_the_sum() -> None:
    network = Two()
    plain = gradients(network, SupervisedMethod(network, TASKS).loss(network, IMAGES, TARGETS))
    method = GradientAggregated(
        SupervisedMethod(network, TASKS), TASKS, lambda jacobian: jacobian.sum(0)
    )
    torch.testing.assert_close(gradients(network, method.loss(network, IMAGES, TARGETS)), plain)


def test_gradients_are_aggregated_under_mixed_precision_too() -> None:
    settings = Settings(epochs=1, batch_size=2, optimizer="sgd", learning_rate=0.1)
    found = []
    for name in ("equal", "torchjd:Sum"):
        network = Two()
        method = weighted(SupervisedMethod(network, TASKS), TASKS, name)
        state = TrainingState(method, settings, make_fabric(precision="bf16-mixed"))
        state.descend(method.loss(state.network, IMAGES, TARGETS), 1.0)
        found.append(network.state_dict())
    torch.testing.assert_close(found[0], found[1])
    assert not torch.equal(found[0]["shared"], Two().shared)


def test_a_penalty_keeps_its_own_gradient() -> None:
    class Penalised(SupervisedMethod):
        def loss(self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor]) -> Loss:
            loss = super().loss(network, images, targets)
            return Loss(loss.total + 3 * network.shared.sum(), loss.parts)  # type: ignore[operator]

    network = Two()
    method = GradientAggregated(Penalised(network, TASKS), TASKS, lambda j: 0 * j[0])
    found = gradients(network, method.loss(network, IMAGES, TARGETS))
    torch.testing.assert_close(found["shared"], torch.tensor([3.0, 3.0]))


def test_a_gradient_that_is_not_finite_is_named_before_it_is_aggregated() -> None:
    network = Two()
    method = GradientAggregated(SupervisedMethod(network, TASKS), TASKS, lambda rows: rows.sum(0))
    with torch.no_grad():
        network.b.fill_(torch.inf)
    loss = method.loss(network, IMAGES, TARGETS)
    assert loss.backward is not None
    with pytest.raises(TrainingError, match=r"training\.weighting.*not, of b; lower the learning"):
        loss.backward()


def test_every_aggregator_can_be_made_or_says_what_is_missing() -> None:
    known = aggregators()
    assert {"UPGrad", "MGDA", "PCGrad", "IMTLG"} <= set(known)
    jacobian = torch.tensor([[1.0, 0.0, 1.0], [-0.5, 1.0, 0.0]])
    for name in known:
        try:
            merged = aggregator(name, 2)(jacobian)
        except ConfigError as error:
            assert "needs a package" in str(error)  # noqa: PT017 - NashMTL's solver is no part of the extra
            continue
        assert merged.shape == (3,)
        assert bool(torch.isfinite(merged).all())


def test_names_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = SupervisedMethod(Two(), TASKS)
    assert weighted(plain, TASKS, "equal") is plain
    assert weighted(plain, TASKS[:1], "uncertainty") is plain
    with pytest.raises(ConfigError, match="one of AlignedMTL"):
        aggregator("UPGrand", 2)
    missing: Callable[..., None] = lambda *_: None  # noqa: E731
    monkeypatch.setattr("sfg_nas.training.weighting.find_spec", missing)
    assert aggregators() == ()
    with pytest.raises(ConfigError, match=r"sfg_nas\[weighting\]"):
        aggregator("UPGrad", 2)
