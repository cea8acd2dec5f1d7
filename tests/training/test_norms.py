from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from sfg_nas.data import ImageSet, bundle_from_arrays
from sfg_nas.errors import ArchitectureError
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import Supernet, convert, random_allocation
from sfg_nas.tasks import Task
from sfg_nas.training import norm_state, recalibrate_norms, restore_norm_state


@pytest.fixture
def images() -> ImageSet:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (50, 2, 4, 4), dtype=np.uint8)
    task = Task("any", "classification", outputs=2)
    return bundle_from_arrays(pixels, {"any": rng.integers(0, 2, 50)}, [task]).train


def net() -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(2, momentum=0.3), nn.Dropout(0.9), nn.GroupNorm(1, 2))


def test_statistics_are_the_mean_over_batches(images: ImageSet) -> None:
    network = net()
    network[0].running_mean.fill_(99.0)
    assert recalibrate_norms(network, images, batch_size=10, seed=4) == 1
    batches = [x for x, _ in images.batches(10, seed=4)]
    mean = torch.stack([x.mean((0, 2, 3)) for x in batches]).mean(0)
    variance = torch.stack([x.var((0, 2, 3)) for x in batches]).mean(0)
    assert torch.allclose(network[0].running_mean, mean, atol=1e-6)
    assert torch.allclose(network[0].running_var, variance, atol=1e-5)


def test_momentum_and_modes_are_restored(images: ImageSet) -> None:
    network = net().train()
    network[1].eval()
    recalibrate_norms(network, images, batch_size=10)
    assert network[0].momentum == 0.3
    assert [module.training for module in network] == [True, False, True]


def test_only_batch_norms_change_and_can_be_put_back(images: ImageSet) -> None:
    network = net()
    before = norm_state(network)
    recalibrate_norms(network, images, batch_size=10, batches=2)
    assert not torch.equal(network[0].running_mean, before["0.running_mean"])
    restore_norm_state(network, before)
    assert all(torch.equal(v, before[k]) for k, v in norm_state(network).items())


def test_nothing_to_do_without_batch_norm(images: ImageSet) -> None:
    assert recalibrate_norms(nn.Sequential(nn.GroupNorm(1, 2)), images) == 0


def test_streams_and_connections_come_to_the_same_statistics(images: ImageSet) -> None:
    backbone = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6, momentum=0.3), nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
    )  # fmt: skip
    tasks = [Task(name, "classification", outputs=2) for name in ("a", "b")]
    heads = {task.name: task.make_head(torch.Size([6, 4, 4])) for task in tasks}
    outputs = []
    for relaxation in ("connections", "streams"):
        net = convert(
            backbone, heads, torch.zeros(2, 2, 4, 4), relaxation=relaxation, start="vertices"
        ).train()
        net.harden(net.allocation())
        assert recalibrate_norms(net, images, batch_size=10, seed=4) == 2
        assert net.training
        batch = next(images.batches(8))[0]
        outputs.append(net.eval()(batch))
    for task in ("a", "b"):
        assert torch.allclose(outputs[0][task], outputs[1][task], atol=1e-5)


def averaging() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6, momentum=None), nn.ReLU())


def with_dropout() -> nn.Module:
    dropped = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6))
    return nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), *dropped)


def with_tracked_instance_norm() -> nn.Module:
    tracked = nn.InstanceNorm2d(6, track_running_stats=True)
    return nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), tracked)


class CalledTwice(nn.Module):
    """A block that runs twice, with its norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.again = nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for _ in range(2):
            x = self.norm(self.again(x)).relu()
        return x


@pytest.mark.parametrize("make", [averaging, with_dropout, with_tracked_instance_norm, CalledTwice])
def test_all_forms_come_to_the_same_statistics(
    images: ImageSet, make: Callable[[], nn.Module]
) -> None:
    torch.manual_seed(0)
    backbone, batch = make(), next(images.batches(8))[0]
    heads = {name: nn.Sequential(nn.Flatten(), nn.Linear(96, 2)) for name in ("a", "b")}
    supernet = convert(backbone, heads, batch).train()
    streams = convert(backbone, heads, batch, relaxation="streams").train()
    allocation = random_allocation(supernet, seed=1)
    fixed = build_network(distill(supernet.harden(allocation)), weights=supernet).train()
    networks = (supernet, streams.harden(allocation), fixed)
    for network in networks:
        recalibrate_norms(network, images, batch_size=10, seed=4)
    expected, *others = (network.eval()(batch) for network in networks)
    for found in others:
        for task, output in expected.items():
            torch.testing.assert_close(found[task], output, rtol=1e-5, atol=1e-5)


class Held(nn.Module):
    """A network whose first norm stays in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.second, self.other = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)

    def train(self, mode: bool = True) -> Held:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.other(self.second(self.norm(self.first(x)).relu())).relu()


@pytest.mark.parametrize("relaxation", ["connections", "streams", "fixed"])
def test_norms_that_are_held_are_left_as_they_are(images: ImageSet, relaxation: str) -> None:
    backbone = Held()
    backbone.norm.running_mean.fill_(0.3)  # type: ignore[union-attr, operator]
    heads = {name: nn.Sequential(nn.Flatten(), nn.Linear(96, 2)) for name in ("a", "b")}
    form = "streams" if relaxation == "streams" else "connections"
    net: nn.Module = convert(backbone, heads, torch.zeros(2, 2, 4, 4), relaxation=form).train()
    assert isinstance(net, Supernet)
    net.harden(net.allocation())
    if relaxation == "fixed":
        net = build_network(distill(net), weights=net)
    before = norm_state(net)
    recalibrate_norms(net, images, batch_size=10)
    moved = {
        name for name, value in norm_state(net).items() if not torch.equal(value, before[name])
    }
    held = {name for name, value in before.items() if bool((value == 0.3).any())}
    assert held
    assert moved
    assert not held & moved


def test_statistics_of_another_network_are_refused() -> None:
    state = norm_state(nn.Sequential(nn.BatchNorm2d(3)))
    for other in (nn.Sequential(nn.BatchNorm2d(4)), nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3))):
        with pytest.raises(ArchitectureError, match="must be those of the network"):
            restore_norm_state(other, state)
