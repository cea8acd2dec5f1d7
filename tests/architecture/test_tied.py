"""A module that is called several times is one in the fixed network, too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sfg_nas import Allocation, build_network, convert, distill, random_allocation
from tests.conversions import everything_shared
from tests.networks import pooled


def conv(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class Siamese(nn.Module):
    """The difference of two images' features, zero for equal images."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Sequential(conv(3, 8), nn.BatchNorm2d(8), nn.ReLU(), conv(8, 8), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        difference: Tensor = self.part(x[:, :3]) - self.part(x[:, 3:])
        return difference


class Recurrent(nn.Module):
    """One block, run four times."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = conv(6, 8), conv(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        for _ in range(4):
            x = torch.relu(x + self.again(x))
        return x


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("build", [Siamese, Recurrent])
def test_all_shared_it_has_the_parameters_of_the_users_network(build: type[nn.Module]) -> None:
    torch.manual_seed(0)
    backbone, heads = build(), {task: pooled(8)(2) for task in "ab"}
    supernet = convert(backbone, heads, torch.randn(2, 6, 8, 8))
    architecture = distill(supernet, everything_shared(supernet))
    expected = count(backbone) + sum(map(count, heads.values()))
    assert architecture.params == count(build_network(architecture)) == expected


@pytest.mark.parametrize("build", [Siamese, Recurrent])
def test_it_trains_as_the_supernet_does(build: type[nn.Module]) -> None:
    torch.manual_seed(0)
    supernet = convert(build(), {task: pooled(8)(2) for task in "ab"}, torch.randn(2, 6, 8, 8))
    allocation = random_allocation(supernet, seed=1)
    fixed = build_network(distill(supernet, allocation), weights=supernet).train()
    supernet.harden(allocation).train()
    optimisers = [torch.optim.SGD(net.parameters(), 0.02) for net in (supernet, fixed)]
    for _ in range(3):
        x = torch.randn(4, 6, 8, 8)
        for net, optimiser in zip((supernet, fixed), optimisers, strict=True):
            optimiser.zero_grad()
            torch.stack([(y - 1).square().mean() for y in net(x).values()]).sum().backward()
            optimiser.step()
    x = torch.randn(4, 6, 8, 8)
    found, expected = fixed.eval()(x), supernet.eval()(x)
    for task, output in expected.items():
        torch.testing.assert_close(found[task], output, rtol=1e-4, atol=1e-5)


class OnTwoMaps(nn.Module):
    """One block over two maps, one for each task."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.block = conv(6, 8), nn.Sequential(conv(8, 8), nn.BatchNorm2d(8))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.first(x))
        return self.block(x), self.block(nn.functional.avg_pool2d(x, 2))


class Takes(nn.Module):
    """A head on one of several maps."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place, self.last = place, pooled(8)(2)

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        result: Tensor = self.last(maps[self.place])
        return result


def test_a_part_has_the_weights_whichever_call_it_needs() -> None:
    torch.manual_seed(0)
    heads = {task: Takes(place) for place, task in enumerate("ab")}
    supernet = convert(OnTwoMaps(), heads, torch.randn(2, 6, 8, 8))
    allocation = everything_shared(supernet)
    fixed = build_network(distill(supernet, allocation), weights=supernet).eval()
    x = torch.randn(3, 6, 8, 8)
    for task in "ab":
        part = fixed.only(task)
        assert count(part) == part.architecture.params
        torch.testing.assert_close(part(x)[task], fixed(x)[task])


class OverLevels(nn.Module):
    """One convolution over a pyramid, whose levels are joined as those of a detector are."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.block = conv(6, 8), nn.Sequential(conv(8, 8), nn.BatchNorm2d(8), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        levels = [x, nn.functional.avg_pool2d(x, 2), nn.functional.avg_pool2d(x, 4)]
        return torch.cat([self.block(level).flatten(2) for level in levels], 2)


def test_filters_that_read_nothing_have_the_size_of_each_call() -> None:
    torch.manual_seed(0)
    heads = {task: nn.Sequential(nn.Flatten(), nn.Linear(8 * 84, 2)) for task in "ab"}
    supernet = convert(OverLevels(), heads, torch.randn(2, 6, 8, 8))
    allocation = Allocation(supernet.groups, {"first": (0,) * 8, "block.0": (0, 1) * 4})
    fixed = build_network(distill(supernet, allocation), weights=supernet).eval()
    operations = [fixed.architecture.node(name)["op"] for name in fixed.architecture.graph]
    assert operations.count("constant") == 3  # those of `b` read nothing
    x = torch.randn(3, 6, 8, 8)
    expected = supernet.harden(allocation).eval()(x)
    for task, output in fixed(x).items():
        torch.testing.assert_close(output, expected[task])
