"""Numbers that a `forward` makes from the size of its images: found by trying, and refused on other sizes in every form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import sfg_nas
from sfg_nas.architecture import Architecture
from sfg_nas.errors import ArchitectureError
from sfg_nas.fixed import network_source
from sfg_nas.fixed.other_sizes import another_size
from sfg_nas.sharing import Supernet

EXAMPLE = (3, 16, 16)


class Net(nn.Module):
    """Two convolutions, and something that takes a number from the size of their features."""

    def __init__(self, then: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.then = then

    def forward(self, x: Tensor) -> Tensor:
        return self.then(self.norm(self.second(self.first(x).relu())).relu())


def simam(x: Tensor) -> Tensor:
    squared = (x - x.mean((2, 3), keepdim=True)).square()
    places = x.shape[2] * x.shape[3] - 1
    return x * (squared / (4 * (squared.sum((2, 3), keepdim=True) / places + 1e-4)) + 0.5).sigmoid()


def warped(x: Tensor) -> Tensor:
    turn = torch.tensor([[[0.8, 0.1, 0.0], [-0.1, 0.8, 0.1]]])
    grid = functional.affine_grid(turn, [1, 1, *x.shape[2:]], align_corners=False)
    return functional.grid_sample(x, grid.repeat(len(x), 1, 1, 1), align_corners=False)


BOUND = {
    "pooling over all": lambda x: functional.avg_pool2d(x, x.shape[2:]),
    "largest of all": lambda x: functional.max_pool2d(x, x.shape[2:]),
    "crop": lambda x: x[:, :, : x.shape[2] // 2, x.shape[3] // 4 :],
    "rows kept": nn.AdaptiveAvgPool2d((None, 1)),
    "roll": lambda x: x.roll(x.shape[2] // 2, 2),
    "SimAM": simam,
    "scale": lambda x: x / x.shape[2] ** 0.5,
    "largest places": lambda x: x.flatten(2).topk(x.shape[2], -1).values[..., None],
    "resized to a number": lambda x: functional.interpolate(x, size=(3 * x.shape[2], x.shape[3])),
}
FREE = {
    "pooling by a number": nn.AvgPool2d(4),
    "adaptive": nn.AdaptiveAvgPool2d(2),
    "crop of an edge": lambda x: x[:, :, 1:-1, 2:],
    "roll by a number": lambda x: x.roll(2, 2),
    "factor": lambda x: functional.interpolate(x, scale_factor=2),
    "dropout": nn.Dropout(0.5),
}


def converted(then: Callable[[Tensor], Tensor], groups: object = "specialists") -> Supernet:
    torch.manual_seed(0)
    backbone, example = Net(then), torch.randn(2, *EXAMPLE)
    count = backbone(example).shape[1]
    heads = {task: nn.Conv2d(count, 2, 1) for task in ("left", "right")}
    return sfg_nas.convert(backbone, heads, example, groups=groups)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", BOUND)
def test_what_was_made_from_the_size_is_refused_in_every_form(name: str, tmp_path: Path) -> None:
    supernet = converted(BOUND[name])
    allocation = sfg_nas.random_allocation(supernet, seed=1)
    architecture = sfg_nas.distill(supernet, allocation)
    assert architecture.one_size
    assert architecture.only("left").one_size
    architecture.save(tmp_path / "a.json")
    architecture.to_graphml(tmp_path / "a.graphml")
    for file in ("a.json", "a.graphml"):
        assert Architecture.load(tmp_path / file).one_size
    network = sfg_nas.build_network(architecture, weights=supernet).eval()
    x = torch.randn(2, *EXAMPLE)
    wanted = supernet.harden(allocation).eval()(x)
    assert all(torch.allclose(value, wanted[t], atol=1e-5) for t, value in network(x).items())
    other = torch.randn(2, 3, 32, 24)
    for part in (network, network.only("left")):
        with pytest.raises(
            ArchitectureError, match=r"example of 3 x 16 x 16.*images of 3 x 32 x 24"
        ):
            part(other)
    names: dict[str, Callable[[], nn.Module]] = {}
    exec(compile(network_source(network), "network.py", "exec"), names)  # noqa: S102
    with pytest.raises(ValueError, match="images of 3 x 16 x 16 are needed"):
        names["Network"]()(other)


@pytest.mark.parametrize("name", FREE)
def test_what_is_the_same_for_all_images_is_not(name: str) -> None:
    supernet = converted(FREE[name])
    allocation = sfg_nas.random_allocation(supernet, seed=1)
    architecture = sfg_nas.distill(supernet, allocation)
    assert not architecture.one_size
    assert "one_size" not in architecture.to_json()
    network = sfg_nas.build_network(architecture, weights=supernet).eval()
    x = torch.randn(2, 3, 32, 24)
    wanted = supernet.harden(allocation).eval()(x)
    assert all(torch.allclose(value, wanted[t], atol=1e-5) for t, value in network(x).items())


@pytest.mark.parametrize("groups", ["specialists", [["left"], ["right"]]])
def test_trying_leaves_the_supernet_as_it_was(groups: object) -> None:
    supernet = converted(nn.Sequential(nn.Dropout(0.5), nn.AdaptiveAvgPool2d((None, 1))), groups)
    supernet.train()
    supernet.network.backbone.first.eval()
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    modes = [module.training for module in supernet.modules()]
    state, noise = torch.get_rng_state(), supernet.generator_state()
    assert sfg_nas.distill(supernet).one_size
    assert not supernet.hardened
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(supernet.generator_state(), noise)
    assert [module.training for module in supernet.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())


def test_equality_and_hash_are_of_the_network_alone() -> None:
    architecture = sfg_nas.distill(converted(BOUND["crop"]))
    graph = architecture.graph.copy()
    del graph.graph["one_size"]
    assert Architecture(graph) == architecture
    assert Architecture(graph).hash == architecture.hash
    graph.graph["one_size"] = "yes"
    with pytest.raises(ArchitectureError, match=r"one_size.*true or false"):
        Architecture(graph)


def test_streams_are_tried_too() -> None:
    torch.manual_seed(0)
    backbone, example = Net(BOUND["crop"]), torch.randn(2, *EXAMPLE)
    heads = {task: nn.Conv2d(8, 2, 1) for task in ("left", "right")}
    for then, found in ((BOUND["crop"], True), (FREE["adaptive"], False)):
        backbone.then = then
        supernet = sfg_nas.convert(backbone, heads, example, relaxation="streams")
        assert sfg_nas.distill(supernet).one_size is found


@pytest.mark.parametrize(
    ("shape", "other"),
    [
        ((3, 64, 64), (3, 96, 128)),
        ((3, 224, 224), (3, 256, 288)),
        ((1, 9, 12), (1, 10, 20)),
        ((1, 64, 32, 8), (1, 80, 64, 32)),
        ((2, 100), (2, 104)),
    ],
)
def test_sides_can_be_halved_as_often(shape: tuple[int, ...], other: tuple[int, ...]) -> None:
    assert another_size(shape) == other
