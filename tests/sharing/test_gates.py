"""Modules that look at all channels: what becomes a gate, and that each group has its own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn

import sfg_nas
from sfg_nas.allocation import Allocation
from sfg_nas.fixed import build_network, distill
from sfg_nas.fixed.connections import connections_of
from sfg_nas.sharing.supernet import Supernet
from tests import gates
from tests.networks import Net, conv, pooled

KINDS: dict[str, Callable[[], nn.Module]] = {
    "efficient": gates.efficient,
    "cbam": gates.cbam,
    "response": gates.response_norms,
    "context": gates.global_context,
    "unet": gates.AttentionUNet,
}
X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def supernet_of(backbone: nn.Module, features: int = 6, **options: str) -> Supernet:
    torch.manual_seed(0)
    heads = {"age": pooled(features)(1), "sex": pooled(features)(2)}
    return sfg_nas.convert(backbone, heads, X, **options)


def with_group(supernet: Supernet, group: int) -> Allocation:
    """Return everything shared, but for the first choice of each layer."""
    everyone = supernet.groups.sets.index(supernet.groups.everyone)
    chosen = torch.full((supernet.wiring.variables,), everyone)
    for rows in supernet.wiring.layers.values():
        chosen[rows[0]] = group
    return supernet.wiring.allocation(chosen)


@pytest.mark.parametrize("kind", KINDS)
def test_gates_leave_filters_their_choice(kind: str) -> None:
    torch.manual_seed(0)
    supernet = supernet_of(KINDS[kind]())
    choices = supernet.wiring.choices
    assert (
        choices.free > 0.3 * choices.filters
    )  # residual additions and attention over channels tie some
    allocation = sfg_nas.random_allocation(supernet, seed=1)
    assert all(len(set(found)) > 1 for found in allocation.layers.values() if len(found) > 4)
    inside = {op.path for op in supernet.wiring.network.ops if op.operation == "own"}
    assert inside
    assert not any(
        name == path or name.startswith(f"{path}.")
        for name in supernet.wiring.layers
        for path in (p.removeprefix("backbone.") for p in inside)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("start", [0, 1])
def test_costs_count_a_gate_once_for_each_group(kind: str, start: int) -> None:
    torch.manual_seed(0)
    supernet = supernet_of(KINDS[kind]())
    chosen = torch.zeros(supernet.wiring.variables, dtype=torch.long)
    for rows in supernet.wiring.layers.values():  # each group in each layer: all is reached
        places = rows.unique()
        chosen[places] = (torch.arange(len(places)) + start) % len(supernet.groups)
    architecture = distill(supernet, supernet.wiring.allocation(chosen))
    hard = nn.functional.one_hot(chosen, len(supernet.groups)).double()
    logits = torch.log(hard.clamp_min(1e-30))
    with torch.no_grad():
        supernet.assignments.filter_logits.copy_(logits.to(supernet.assignments.filter_logits))
    assert supernet.expected_macs().item() == pytest.approx(architecture.macs, rel=1e-5)
    assert supernet.expected_params().item() == pytest.approx(architecture.params, rel=1e-5)
    for cost, counted in (("macs", architecture.macs), ("params", architecture.params)):
        found = connections_of(supernet, cost).cost(chosen.numpy())
        assert found == pytest.approx(counted), cost


def test_expected_macs_of_a_gate_by_enumeration() -> None:
    backbone = nn.Sequential(conv(3, 3), gates.EfficientAttention(), conv(3, 2))
    supernet = supernet_of(backbone, 2)
    torch.manual_seed(1)
    with torch.no_grad():
        supernet.assignments.filter_logits.normal_()
    p = supernet.assignments.probabilities().detach().double()
    total = 0.0
    for chosen in product(range(len(supernet.groups)), repeat=supernet.wiring.variables):
        weight = float(torch.stack([p[v, g] for v, g in enumerate(chosen)]).prod())
        picked = torch.tensor(chosen)
        total += weight * connections_of(supernet).cost(picked.numpy())
    assert supernet.expected_macs().item() == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_no_group_sees_what_it_may_not_read(kind: str) -> None:
    """Filters of one task alone change nothing of the other's output, nor of the statistics that it meets."""
    torch.manual_seed(0)
    supernet = supernet_of(KINDS[kind]())
    layer = next(iter(supernet.wiring.layers))
    supernet.harden(with_group(supernet, group=0)).train()
    twin = copy.deepcopy(supernet)
    with torch.no_grad():
        twin.network.backbone.get_submodule(layer).bias[0] += 1
    for network in (supernet, twin):
        network(X)
    first, second = supernet.eval()(X), twin.eval()(X)
    torch.testing.assert_close(first["sex"], second["sex"], rtol=0, atol=0)
    assert not torch.equal(first["age"], second["age"])


def test_statistics_of_each_group_go_into_its_fixed_network() -> None:
    torch.manual_seed(0)
    supernet = supernet_of(gates.cbam())
    allocation = sfg_nas.random_allocation(supernet, seed=1)
    supernet.harden(allocation).train()
    for step in range(3):
        supernet(X + step)
    norm = supernet.network.backbone.get_submodule("1.places.norm")
    groups = supernet.static_values()
    [key] = {
        op.statics["running_mean"]
        for op in supernet.wiring.network.ops
        if op.path == "backbone.1.places.norm"
    }
    assert groups[key].shape == (len(supernet.groups.extended), 1)
    assert len(groups[key].unique()) == len(supernet.groups.extended)  # each saw other maps
    assert torch.equal(groups[key][supernet.groups.owner_of_image()], norm.running_mean)
    assert int(norm.num_batches_tracked) == 3
    network = build_network(distill(supernet, allocation), weights=supernet).eval()
    with torch.no_grad():
        whole, fixed = supernet.eval()(X), network(X)
    for task, value in whole.items():
        torch.testing.assert_close(fixed[task], value, rtol=1e-4, atol=1e-5)


def test_statistics_are_saved_and_copied() -> None:
    torch.manual_seed(0)
    supernet = supernet_of(gates.cbam()).train()
    supernet(X)
    other = supernet_of(gates.cbam())
    other.load_state_dict(supernet.state_dict())
    twin = copy.deepcopy(supernet)
    twin(X + 1)
    for name in ("age", "sex"):
        assert torch.equal(other.eval()(X)[name], supernet.eval()(X)[name])
        assert not torch.equal(twin.eval()(X)[name], supernet.eval()(X)[name])


def test_every_group_has_a_gradient_for_its_probability() -> None:
    torch.manual_seed(0)
    supernet = supernet_of(
        nn.Sequential(conv(3, 4), gates.EfficientAttention(), conv(4, 6))
    ).train()
    sum(y.square().sum() for y in supernet(X).values()).backward()
    rows = supernet.wiring.layers["0"]
    gradient = supernet.assignments.filter_logits.grad
    assert gradient is not None
    assert bool((gradient[rows] != 0).all())


class _Doubled(gates.SpatialGate):
    """Changes what it is given, as its caller knows."""

    def forward(self, x: Tensor) -> Tensor:
        x.mul_(2)
        return super().forward(x)


def _gated(gate: nn.Module, times: int = 1) -> nn.Module:
    def run(net: Net, x: Tensor) -> Tensor:
        x = net.first(x)
        for _ in range(times):
            x = x * net.gate(x)
        return net.last(x)

    return Net(run, first=conv(3, 8), gate=gate, last=conv(8, 6))


@pytest.mark.parametrize(
    ("backbone", "is_gate"),
    [
        (lambda: _gated(gates.SpatialGate()), True),
        (lambda: _gated(gates.SpatialGate(norm=True)), True),
        (lambda: _gated(gates.SpatialGate(), times=2), False),  # two calls are not told apart
        (lambda: _gated(_Doubled()), False),
        (lambda: _gated(conv(8, 1, 15)), False),  # most of the MACs
    ],
)
def test_what_is_a_gate_and_what_stays_tied(
    backbone: Callable[[], nn.Module], is_gate: bool
) -> None:
    torch.manual_seed(0)
    built = backbone().eval()
    supernet = supernet_of(built).eval()
    assert (len(set(supernet.wiring.layers["first"].tolist())) == 8) is is_gate
    allocation = sfg_nas.random_allocation(supernet, seed=0)
    network = build_network(distill(supernet, allocation), weights=supernet).eval()
    with torch.no_grad():
        whole, fixed = supernet.harden(allocation)(X.clone()), network(X.clone())
    for task, value in whole.items():
        torch.testing.assert_close(fixed[task], value, rtol=1e-4, atol=1e-5)


def test_values_that_are_not_finite_stay_with_their_group() -> None:
    torch.manual_seed(0)
    supernet = supernet_of(_gated(gates.SpatialGate())).eval()
    supernet.harden(with_group(supernet, group=0))
    with torch.no_grad():
        before = supernet(X)
        supernet.network.backbone.first.bias[0] = float("inf")
        after = supernet(X)
    assert torch.equal(before["sex"], after["sex"])
    assert not after["age"].isfinite().all()
