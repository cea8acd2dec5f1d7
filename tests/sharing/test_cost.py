from __future__ import annotations

import statistics

import pytest
import torch
from torch import nn

from sfg_nas.backbones import build_backbone
from sfg_nas.cost import count_macs, count_params
from sfg_nas.fixed import build_network, distill
from sfg_nas.fixed.connections import connections_of
from sfg_nas.sharing import Supernet, convert, random_allocation
from tests.conversions import everything_shared, pair
from tests.networks import make, pooled


def with_probabilities(name: str) -> tuple[Supernet, torch.Tensor]:
    """Return a supernet with random probabilities, and an input."""
    sample = make(name, tasks=2, groups="specialists")
    supernet = convert(sample.backbone, sample.heads, sample.x, start="dirichlet", seed=5)
    return supernet, sample.x


def connections_in_force(supernet: Supernet, x: torch.Tensor) -> int:
    """Return the MACs of a hardened supernet, counted by its weights that are not zero."""
    counted = 0

    def count(module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        nonlocal counted
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        counted += int((weight != 0).sum()) * output[0, 0].numel()

    banks = [m for m in supernet.network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [module.register_forward_hook(count) for module in banks]
    with torch.no_grad():
        supernet.eval()(x[:1])
    for hook in hooks:
        hook.remove()
    return counted


@pytest.mark.parametrize("name", ["vgg", "resnet", "dense-block", "flatten"])
def test_expectation_is_the_mean_over_hard_draws(name: str) -> None:
    supernet, x = with_probabilities(name)
    expected = float(supernet.expected_macs().detach())
    relaxed = supernet.assignments.probabilities().detach()
    generator = torch.Generator().manual_seed(0)
    draws = torch.multinomial(relaxed, 500, replacement=True, generator=generator).T
    counts = []
    for draw in draws:
        supernet.harden(supernet.wiring.allocation(draw))
        counts.append(connections_in_force(supernet, x))
    mean = statistics.mean(counts)
    assert len(set(counts)) > 20
    error = statistics.stdev(counts) / len(counts) ** 0.5
    assert abs(mean - expected) < max(0.01 * expected, 3 * error)
    assert error < 0.01 * expected


COSTS = ("macs", "params")


@pytest.mark.parametrize(
    ("kind", "count", "groups", "tasks"),
    [
        ("vgg11", 200, "specialists", "ab"),
        ("resnet10", 100, "specialists", "ab"),
        ("vgg11", 60, "lattice", "abc"),
        ("resnet10", 60, "specialists", "abc"),
    ],
)
def test_expectations_are_the_mean_cost_of_networks_drawn(
    kind: str, count: int, groups: str, tasks: str
) -> None:
    """MACs and parameters, in total and of each task alone, of the very networks that are built."""
    torch.manual_seed(0)
    backbone = build_backbone(kind, in_channels=3, width=0.25, depth=3, image_size=16)
    x = torch.rand(2, 3, 16, 16)
    wide = backbone(x).shape[1]
    heads = {
        t: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide, 2)) for t in tasks
    }
    supernet = convert(backbone, heads, x, groups, start="dirichlet", seed=5)
    # a Latin hypercube: each filter takes its groups as often as its probabilities say
    ends = supernet.assignments.probabilities().detach().cumsum(1)[:, :-1].contiguous()
    generator = torch.Generator().manual_seed(1)
    order = torch.stack([torch.randperm(count, generator=generator) for _ in ends])
    points = (order + torch.rand(order.shape, generator=generator)) / count
    draws = torch.searchsorted(ends, points).T
    whole = [distill(supernet, supernet.wiring.allocation(draw)) for draw in draws]
    for task in (None, *supernet.tasks):
        built = whole if task is None else [architecture.only(task) for architecture in whole]
        for cost in COSTS:
            mean = statistics.mean(float(getattr(architecture, cost)) for architecture in built)
            expected = getattr(supernet, f"expected_{cost}")(task)
            assert float(expected.detach()) == pytest.approx(mean, rel=0.01), (task, cost)
            (slope,) = torch.autograd.grad(expected, [supernet.assignments.filter_logits])
            assert bool((slope.abs().sum(1) > 0).all())


@pytest.mark.parametrize("name", ["vgg", "resnet", "unet", "grouped", "convnext"])
def test_a_certain_allocation_has_the_cost_of_its_network(name: str) -> None:
    sample = make(name, tasks=2, groups="specialists")
    supernet = convert(sample.backbone, sample.heads, sample.x, seed=5)
    for allocation in (everything_shared(supernet), random_allocation(supernet, 1)):
        chosen = supernet.wiring.variables_of(allocation)
        with torch.no_grad():
            logits = supernet.assignments.filter_logits
            logits.fill_(-60.0)
            logits[torch.arange(len(chosen)), chosen] = 60.0
        architecture = distill(supernet, allocation)
        for task in (None, *supernet.tasks):
            part = architecture if task is None else architecture.only(task)
            network = build_network(part)
            assert part.macs == count_macs(network, sample.x)
            assert part.params == count_params(network)
            with torch.no_grad():
                macs = float(supernet.double().expected_macs(task))
                params = float(supernet.expected_params(task))
            assert macs == pytest.approx(part.macs)
            assert params == pytest.approx(part.params)


def test_a_number_that_several_steps_have_in_common_is_one_parameter_of_a_group() -> None:
    slope = nn.PReLU()
    backbone = nn.Sequential(nn.Conv2d(3, 6, 1), slope, nn.Conv2d(6, 6, 1), slope)
    heads = {task: pooled(6)(1) for task in ("age", "sex")}
    supernet = convert(backbone, heads, torch.zeros(2, 3, 4, 4))
    chosen = torch.arange(supernet.wiring.variables) % 3
    architecture = distill(supernet, supernet.wiring.allocation(chosen))
    assert architecture.params == count_params(build_network(architecture))
    with torch.no_grad():
        supernet.assignments.filter_logits.copy_(nn.functional.one_hot(chosen, 3) * 120.0 - 60.0)
        assert float(supernet.expected_params()) == pytest.approx(architecture.params)
    counted = connections_of(supernet, "params").cost(chosen.numpy())
    assert counted == pytest.approx(architecture.params)


def test_fused_attention_costs_what_torch_counts() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.mix = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 24, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(x).relu()
            q, k, v = self.mix(x).flatten(2).transpose(1, 2).chunk(3, 2)
            y = nn.functional.scaled_dot_product_attention(q, k, v)
            return x + y.transpose(1, 2).reshape(x.shape)

    x = torch.randn(2, 3, 8, 8)
    heads = {t: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)) for t in "ab"}
    supernet = convert(Attention(), heads, x)
    architecture = distill(supernet, everything_shared(supernet))
    plain = count_macs(build_network(architecture), x)
    assert supernet.wiring.mixing_macs == 2 * 16 * 16 * 8
    assert supernet.shared_macs == architecture.macs == plain


@pytest.mark.parametrize("name", ["vgg", "resnet", "unet", "transposed", "separable", "3d", "glu"])
def test_everything_shared_costs_the_plain_network(name: str) -> None:
    both = pair(name)
    supernet = both.connections
    assert supernet.shared_macs == count_macs(both.original, both.x)
    logits = supernet.assignments.filter_logits
    kept = logits.detach().clone()
    with torch.no_grad():
        logits.fill_(-40.0)
        logits[:, supernet.groups.sets.index(supernet.groups.everyone)] = 40.0
        cost = float(supernet.expected_cost())
        logits.copy_(kept)
    assert cost == pytest.approx(1.0, abs=1e-6)


def test_a_hard_allocation_without_dead_filters_costs_what_its_network_counts() -> None:
    supernet, x = with_probabilities("vgg")
    chosen = torch.arange(supernet.wiring.variables) % 3
    allocation = supernet.wiring.allocation(chosen)
    table = supernet.assignments.table(nn.functional.one_hot(chosen, 3).double())
    expected = float(supernet._cost(table))
    network = build_network(distill(supernet, allocation))
    assert network.architecture.macs == count_macs(network, x) == round(expected)


def test_cost_has_a_gradient_for_every_filter() -> None:
    supernet, _ = with_probabilities("resnet")
    logits = supernet.assignments.filter_logits
    (gradient,) = torch.autograd.grad(supernet.expected_cost(), [logits])
    assert bool((gradient.abs().sum(1) > 0).all())
    for v, g in ((0, 0), (50, 2)):
        with torch.no_grad():
            slope = 0.0
            for step, sign in ((1e-2, 1), (-2e-2, -1)):
                logits[v, g] += step
                slope += sign * float(supernet.double().expected_cost())
            logits[v, g] += 1e-2
        assert slope / 2e-2 == pytest.approx(float(gradient[v, g]), rel=2e-2, abs=1e-7)


def test_shared_allocation_helper_matches() -> None:
    supernet, x = with_probabilities("vgg")
    supernet.harden(everything_shared(supernet))
    assert connections_in_force(supernet, x) == supernet.shared_macs
