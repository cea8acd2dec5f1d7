from __future__ import annotations

import statistics

import pytest
import torch
from torch import nn

from sfg_nas.cost import count_macs
from sfg_nas.fixed import build_network, distill
from sfg_nas.sharing import Supernet, convert
from tests.conversions import everything_shared, pair
from tests.networks import make


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
