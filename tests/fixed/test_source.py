"""The `.py` export is the same network, reads well, and never turns a stranger's text into code."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfg_nas.architecture import Architecture
from sfg_nas.fixed import FixedNetwork, build_network, distill, network_source
from sfg_nas.sharing import convert, random_allocation
from sfg_nas.weights import save_weights
from tests.conversions import VARIANTS, Variant, allocations, everything_shared, label, pair
from tests.networks import Net, conv, pooled
from tests.properties import TOLERANCE, run, same_outputs


def loaded(network: FixedNetwork, folder: Path) -> nn.Module:
    """Return the network that the exported source makes of the exported weights."""
    save_weights(folder / "network.safetensors", network)
    found: dict[str, Callable[[str], nn.Module]] = {}
    exec(compile(network_source(network), "network.py", "exec"), found)  # noqa: S102
    return found["load"](str(folder / "network.safetensors"))


@pytest.mark.parametrize("variant", VARIANTS, ids=label)
def test_the_source_is_the_network(variant: Variant, tmp_path: Path) -> None:
    found = pair(*variant)
    for what, allocation in allocations(found.connections).items():
        architecture = distill(found.connections, allocation)
        network = build_network(architecture, weights=found.connections)
        module = loaded(network, tmp_path)
        same_outputs(run(module, found.x), run(network, found.x), what, tolerance=TOLERANCE)
        assert sum(p.numel() for p in module.parameters()) == architecture.params


def test_the_source_trains_like_the_network(tmp_path: Path) -> None:
    found = pair("smooth")
    architecture = distill(found.connections, random_allocation(found.connections, 3))
    network = build_network(architecture, weights=found.connections)
    module = loaded(network, tmp_path)
    results: list[dict[str, Tensor]] = []
    for candidate in (network, module):
        torch.manual_seed(5)  # dropout
        results.append({k: v.detach() for k, v in candidate.train()(found.x).items()})
    assert list(results[0]) == list(results[1])
    assert not torch.equal(results[0]["age"], run(network, found.x)["age"])


@pytest.mark.parametrize(
    "kind", [nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout]
)
def test_dropout_in_place_drops_as_in_the_original(
    kind: Callable[..., nn.Module], tmp_path: Path
) -> None:
    backbone = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), kind(0.5, inplace=True), nn.Conv2d(6, 4, 3)
    )
    heads = {t: nn.Sequential(nn.Flatten(), nn.Linear(64, 2)) for t in "ab"}
    images = torch.rand(2, 3, 8, 8)
    supernet = convert(copy.deepcopy(backbone), heads, images, "specialists")
    network = build_network(distill(supernet, everything_shared(supernet)), weights=supernet)
    given: list[Tensor] = []
    for candidate in (network, loaded(network, tmp_path)):
        torch.manual_seed(5)
        given.append(candidate.train()(images)["a"].detach())
    torch.manual_seed(5)
    original = heads["a"](backbone.train()(images)).detach()
    torch.testing.assert_close(given, [original] * 2)
    assert not torch.allclose(given[0], network.eval()(images)["a"])


@pytest.mark.parametrize("drop", [functional.dropout, functional.feature_alpha_dropout])
def test_dropout_that_is_always_on_is_on_in_evaluation_mode(
    drop: Callable[[Tensor, float, bool], Tensor], tmp_path: Path
) -> None:
    backbone = Net(
        lambda net, x: net.two(drop(net.one(x), 0.5, True)), one=conv(3, 6), two=conv(6, 4)
    )
    heads = {t: pooled(4)(2) for t in "ab"}
    images = torch.rand(2, 3, 8, 8)
    supernet = convert(backbone, heads, images, "specialists")
    network = build_network(distill(supernet, everything_shared(supernet)), weights=supernet)
    torch.manual_seed(5)
    original = heads["a"](backbone.eval()(images)).detach()
    for candidate in (network, loaded(network, tmp_path)):
        torch.manual_seed(5)
        torch.testing.assert_close(candidate.eval()(images)["a"].detach(), original)


def test_it_imports_little_and_names_trunk_and_branches() -> None:
    found = pair("resnet", 2, "specialists")
    architecture = distill(found.connections, random_allocation(found.connections, 3))
    tree = ast.parse(network_source(build_network(architecture)))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported == {"torch", "safetensors", "pathlib"}
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    assert classes == ["Trunk", "Age", "Sex", "Network"]


HOSTILE = (
    '"""\nimport os\nos.system("touch owned")\n"""',
    "'); raise SystemExit('owned') #",
    "lambda\\",
    "trunk",
    "train",
    "image",
    "load",
    "\u00fc\u00f1\u00ed",
    "0",
    "__init__",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_names_of_strangers_are_never_code(text: str, tmp_path: Path) -> None:
    """A task and every layer are renamed; only names that a graph may hold are tried as tasks."""
    found = pair("vgg", 2, "specialists")
    architecture = distill(found.connections, random_allocation(found.connections, 3))
    hostile = renamed(architecture, "sex", text if text.isprintable() else "other", layer=text)
    network = build_network(hostile)
    module = loaded(network, tmp_path)
    x = found.x
    same_outputs(run(module, x), run(network, x), "renamed")
    assert not (tmp_path / "owned").exists()
    assert not Path("owned").exists()


def renamed(architecture: Architecture, old: str, new: str, *, layer: str) -> Architecture:
    """Return an architecture with a task renamed and a text in front of every layer's name."""
    graph = architecture.graph.copy()
    graph.graph["tasks"] = [new if t == old else t for t in graph.graph["tasks"]]
    graph.graph["groups"] = [[new if t == old else t for t in g] for g in graph.graph["groups"]]
    for name in graph:
        node = graph.nodes[name]
        node["group"] = [new if t == old else t for t in node["group"]]
        node["layer"] = layer + node["layer"]
    return Architecture(graph).checked()


def test_a_value_of_several_operations_is_one_parameter(tmp_path: Path) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = nn.ModuleList([nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)])
            self.scale = nn.Parameter(torch.rand(8, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            for one in self.convs:
                x = one(x).relu() * self.scale + self.scale
            return x.mean((2, 3))

    heads = {"a": nn.Linear(8, 1), "b": nn.Linear(8, 1)}
    supernet = convert(Scaled(), heads, torch.randn(2, 3, 12, 12))
    shared = distill(supernet, everything_shared(supernet))
    assert shared.params == sum(p.numel() for p in supernet.network.parameters())
    for architecture in (shared, distill(supernet, random_allocation(supernet, 1))):
        network = build_network(architecture, weights=supernet).eval()
        module = loaded(network, tmp_path)
        assert sum(p.numel() for p in module.parameters()) == architecture.params
        x = torch.randn(2, 3, 12, 12)
        for step in range(2):
            same_outputs(run(module, x), run(network, x), str(step), tolerance=TOLERANCE)
            for candidate in (network, module):
                optimizer = torch.optim.SGD(candidate.parameters(), lr=0.1)
                sum(v.square().mean() for v in candidate(x).values()).backward()
                optimizer.step()
