"""What a user's network holds as it is in training is held in the supernet and in fixed networks, too."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import sfg_nas
from sfg_nas.architecture import Architecture
from sfg_nas.errors import ArchitectureError
from sfg_nas.fixed import FixedNetwork, network_source
from sfg_nas.fixed.connections import connections_of
from sfg_nas.sharing import Supernet
from sfg_nas.sharing.frozen import frozen_tensors
from sfg_nas.sharing.traced import BackboneWithHeads
from sfg_nas.weights import save_weights
from tests.conversions import everything_shared


class Frozen(nn.Module):
    """A stem without gradients, whose norm stays in evaluation mode; a scale without; and what is trained.

    As networks for detection do it (`frozen_stages`, `norm_eval`), in a `train` of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.scale = nn.Parameter(torch.full((8, 1, 1), 0.7), requires_grad=False)
        self.body = nn.Conv2d(8, 8, 3, padding=1)
        self.body_norm = nn.BatchNorm2d(8)

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        self.norm.eval()
        for parameter in (*self.stem.parameters(), *self.norm.parameters()):
            parameter.requires_grad_(False)
        return self

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu() * self.scale
        return self.body_norm(self.body(x)).relu()


HELD = {"stem.weight", "stem.bias", "norm.weight", "norm.bias", "scale", "norm.running_mean"}


def parts() -> tuple[Frozen, dict[str, nn.Module]]:
    torch.manual_seed(0)
    backbone = Frozen()
    backbone(torch.randn(2, 3, 8, 8))  # the statistics are not those of the start
    return backbone, {
        t: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1)) for t in "ab"
    }


def converted(relaxation: str = "connections") -> Supernet:
    backbone, heads = parts()
    return sfg_nas.convert(backbone, heads, torch.randn(2, 3, 8, 8), relaxation=relaxation)  # type: ignore[arg-type]


def trained(network: nn.Module, steps: int = 3) -> nn.Module:
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    network.train()
    for step in range(steps):
        images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(step)) + 1
        loss = sum((value - 1).square().mean() for value in network(images).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


def changed(network: nn.Module, steps: int = 3) -> dict[str, bool]:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    after = trained(network, steps).state_dict()
    return {name: not torch.equal(value, after[name]) for name, value in before.items()}


def fixed(supernet: Supernet) -> FixedNetwork:
    allocation = sfg_nas.random_allocation(supernet, seed=1)
    return sfg_nas.build_network(sfg_nas.distill(supernet, allocation), weights=supernet)


def test_names_are_of_the_users_network() -> None:
    supernet = converted()
    wanted = {f"backbone.{name}" for name in (*HELD, "norm.running_var")}
    assert supernet.frozen == wanted
    modes = [module.training for module in supernet.modules()]
    assert frozen_tensors(supernet.network) == wanted
    assert [module.training for module in supernet.modules()] == modes


@pytest.mark.parametrize("relaxation", ["connections", "streams"])
def test_the_search_leaves_them(relaxation: str) -> None:
    supernet = converted(relaxation)
    trained(supernet)
    start, now = converted(relaxation).plain_state(), supernet.plain_state()
    moved = {name for name, value in now.items() if not torch.equal(value, start[name])}
    parameters = {name for name in supernet.frozen if "running" not in name}
    assert not moved & parameters
    assert "backbone.body.weight" in moved


def test_the_fixed_network_leaves_them() -> None:
    network = fixed(converted())
    held = {"stem", "norm", "mul"}
    for name, moved in changed(network).items():
        if not name.endswith("num_batches_tracked"):
            layer = name.split(".")[1].split("__")[0]
            assert moved is (layer not in held), name
    assert network.training
    parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert network.architecture.params == parameters < sum(p.numel() for p in network.parameters())


def test_copies_and_parts_leave_them() -> None:
    network = fixed(converted())
    for part in (copy.deepcopy(network), network.only("a")):
        moved = changed(part)
        assert not any(value for name, value in moved.items() if ".stem" in name or ".norm" in name)
        assert any(moved.values())


def test_in_training_it_computes_what_the_supernet_does() -> None:
    supernet = converted()
    allocation = sfg_nas.random_allocation(supernet, seed=1)
    network = fixed(supernet).train()
    supernet.harden(allocation).train()
    x = torch.randn(4, 3, 8, 8) * 2 + 1
    wanted = supernet(x)
    for task, value in network(x).items():
        torch.testing.assert_close(value, wanted[task], atol=1e-5, rtol=1e-4)


def test_everything_shared_trains_as_the_users_network_does() -> None:
    supernet = converted()
    plain = BackboneWithHeads(*parts())
    shared = everything_shared(supernet)
    network = sfg_nas.build_network(sfg_nas.distill(supernet, shared), weights=supernet)
    x = torch.randn(2, 3, 8, 8)
    wanted = trained(plain).eval()(x)
    for task, value in trained(network).eval()(x).items():
        torch.testing.assert_close(value, wanted[task], atol=1e-4, rtol=1e-3)


def test_both_forms_train_alike() -> None:
    forms = [converted(form) for form in ("connections", "streams")]
    allocation = sfg_nas.random_allocation(forms[0], seed=1)
    x = torch.randn(4, 3, 8, 8) * 2 + 1
    wanted, found = (net.harden(allocation).train()(x) for net in forms)
    for task, value in found.items():
        torch.testing.assert_close(value, wanted[task], atol=1e-5, rtol=1e-4)
    moved = changed(forms[1].relax())
    norms = {name: value for name, value in moved.items() if name.startswith("_streams.norms.")}
    assert {name for name, value in norms.items() if value} == {
        f"_streams.norms.1.{part}" for part in ("weight", "bias", "running_mean", "running_var")
    }


def test_files_keep_what_is_frozen(tmp_path: Path) -> None:
    architecture = fixed(converted()).architecture
    architecture.save(tmp_path / "a.json")
    architecture.to_graphml(tmp_path / "a.graphml")
    for name in ("a.json", "a.graphml"):
        loaded = Architecture.load(tmp_path / name)
        assert loaded == architecture
        assert loaded.params == architecture.params
        moved = changed(sfg_nas.build_network(loaded))
        assert not any(value for key, value in moved.items() if ".stem" in key)
    graph = architecture.graph.copy()
    record = next(n["params"]["weight"] for _, n in graph.nodes(data=True) if n["layer"] == "stem")
    del record["frozen"]
    assert Architecture(graph) != architecture
    record["frozen"] = "yes"
    with pytest.raises(ArchitectureError, match="fields of the right types"):
        Architecture(graph)


def test_the_source_leaves_them(tmp_path: Path) -> None:
    network = fixed(converted())
    save_weights(tmp_path / "network.safetensors", network)
    names: dict[str, Callable[[str], nn.Module]] = {}
    exec(compile(network_source(network), "network.py", "exec"), names)  # noqa: S102
    module = names["load"](str(tmp_path / "network.safetensors"))
    trained(network)
    trained(module)
    x = torch.randn(2, 3, 8, 8)
    wanted = network.eval()(x)
    for task, value in module.eval()(x).items():
        torch.testing.assert_close(value, wanted[task], atol=1e-4, rtol=1e-3)
    count = sum(p.numel() for p in module.parameters() if p.requires_grad)
    assert count == network.architecture.params


def test_buffers_as_kernels_cost_no_parameters() -> None:
    class Blurred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3)
            self.register_buffer("kernel", torch.full((8, 1, 3, 3), 1 / 9))

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.conv2d(self.conv(x), self.kernel, groups=8).mean((2, 3))

    heads = {"a": nn.Linear(8, 1), "b": nn.Linear(8, 1)}
    supernet = sfg_nas.convert(Blurred(), heads, torch.randn(2, 3, 8, 8))
    everyone = supernet.groups.sets.index(supernet.groups.everyone)
    with torch.no_grad():
        supernet.assignments.filter_logits.fill_(-50.0)[:, everyone] = 50.0
    wanted = sfg_nas.distill(supernet, everything_shared(supernet)).params
    assert float(supernet.expected_params().detach()) == pytest.approx(wanted, rel=1e-4)


def test_what_is_frozen_costs_no_parameters() -> None:
    supernet = converted()
    learned = sum(p.numel() for p in supernet.network.parameters() if p.requires_grad)
    shared = everything_shared(supernet)
    assert sfg_nas.distill(supernet, shared).params == learned
    connections = connections_of(supernet, "params")
    assert connections.cost(supernet.wiring.variables_of(shared).numpy()) == learned
    with torch.no_grad():
        supernet.assignments.filter_logits.fill_(-50.0)[
            :, supernet.groups.sets.index(supernet.groups.everyone)
        ] = 50.0
    assert float(supernet.expected_params().detach()) == pytest.approx(learned, rel=1e-4)
