"""Allocations chosen from probabilities: deterministic, within their budget, and near the best there is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sfg_nas.errors import ConfigError
from sfg_nas.fixed import choose_allocation, choose_within, distill
from sfg_nas.fixed.choose import Cost
from sfg_nas.fixed.connections import connections_of
from sfg_nas.sharing import Supernet, convert, random_allocation
from sfg_nas.sharing.paths import without_path
from tests.conversions import everything_shared, pair


@pytest.fixture
def learned() -> Supernet:
    """Return a small supernet with decided and undecided filters."""
    torch.manual_seed(3)
    backbone = nn.Sequential(
        nn.Conv2d(1, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 6, 3, padding=1)
    )
    heads = {t: nn.Sequential(nn.Flatten(), nn.Linear(6 * 16, 2)) for t in ("a", "b")}
    supernet = convert(backbone, heads, torch.rand(2, 1, 4, 4), "specialists")
    with torch.no_grad():
        logits = supernet.assignments.filter_logits
        logits.copy_(2 * torch.randn(logits.shape))
    return supernet


def test_a_threshold_shares_what_is_undecided(learned: Supernet) -> None:
    p = learned.assignments.probabilities()
    chosen = learned.wiring.variables_of(choose_allocation(learned, "threshold", threshold=0.7))
    best, index = p.max(1)
    everyone = learned.groups.sets.index(learned.groups.everyone)
    assert chosen.tolist() == [
        int(i) if b >= 0.7 else everyone for b, i in zip(best, index, strict=True)
    ]
    assert 0 < int((best < 0.7).sum()) < len(best)
    assert choose_allocation(learned, "threshold", threshold=1e-6) == learned.allocation()
    assert choose_allocation(learned, "threshold", threshold=1.0) == everything_shared(learned)


@pytest.mark.parametrize("cost", ["macs", "params"])
def test_the_connections_cost_what_the_network_costs(cost: Cost) -> None:
    for name in ("vgg", "resnet", "separable", "convnext"):
        supernet = pair(name, 2, "specialists").connections
        connections = connections_of(supernet, cost)
        for allocation in (everything_shared(supernet), random_allocation(supernet, 1)):
            real = getattr(distill(supernet, allocation), cost)
            counted = connections.cost(supernet.wiring.variables_of(allocation).numpy())
            assert real <= counted + 1e-6, name
        whole = getattr(distill(supernet, everything_shared(supernet)), cost)
        assert connections.everything == pytest.approx(whole)


@pytest.mark.parametrize("cost", ["macs", "params"])
@pytest.mark.parametrize("share", [0.5, 0.62, 0.8])
def test_a_budget_is_kept_and_the_bound_holds_for_all(
    learned: Supernet, cost: Cost, share: float
) -> None:
    """Every one of the 3^11 allocations is looked at."""
    connections = connections_of(learned, cost)
    limit = share * connections.everything
    found = choose_within(learned, share, cost=cost)
    assert found.cost <= limit + 1e-6
    assert getattr(distill(learned, found.allocation), cost) <= found.cost
    assert choose_within(learned, share, cost=cost) == found
    best = best_of_all(learned, limit, cost)
    assert found.score <= best + 1e-9
    assert best <= found.bound + 1e-6
    assert best - found.score < 1e-6


def best_of_all(supernet: Supernet, limit: float, cost: Cost) -> float:
    """Return the best score of all allocations within a limit that leave every task a path."""
    connections = connections_of(supernet, cost)
    count, groups = supernet.wiring.variables, connections.groups
    chosen = torch.cartesian_prod(*[torch.arange(groups)] * count)
    log_p = supernet.assignments.probabilities().detach().double().log()
    scores = log_p[torch.arange(count), chosen].sum(1)
    owners = torch.eye(len(connections.reads), dtype=torch.double)
    filters, channels = torch.tensor(connections.filters), torch.tensor(connections.channels)
    reads = torch.tensor(connections.reads)
    total = torch.full((len(chosen),), connections.fixed, dtype=torch.double)
    for layer in range(len(filters)):
        a = owners[chosen].transpose(1, 2) @ filters[layer, :count] + filters[layer, count:]
        b = owners[chosen].transpose(1, 2) @ channels[layer, :count] + channels[layer, count:]
        total += (a * (b @ reads.T)).sum(1)
    fits = total <= limit
    for i in scores[fits].argsort(descending=True):
        if not without_path(supernet.wiring, chosen[fits][i]):
            return float(scores[fits][i])
    raise AssertionError("none fits")


class Residual(nn.Module):
    """Two filters that are tied over two layers, and two of a last one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(n, 2, 3, padding=1) for n in (3, 2))
        self.last = nn.Conv2d(2, 2, 1, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.first(images).relu()
        out: torch.Tensor = self.last((features + self.second(features)).relu())
        return out


def test_a_budget_that_only_parted_layers_keep_is_kept() -> None:
    """What opens a path in the most probable allocation within it costs too much."""
    heads = {t: nn.Sequential(nn.Flatten(), nn.Linear(2 * 16, 1)) for t in ("a", "b")}
    supernet = convert(Residual(), heads, torch.rand(2, 3, 4, 4))
    rows = [[0.4, 0.3, 0.3], [0.3, 0.4, 0.3], [0.1, 0.1, 0.8], [0.1, 0.6, 0.3]]
    with torch.no_grad():
        supernet.assignments.filter_logits.copy_(torch.tensor(rows).log())
    found = choose_within(supernet, 0.85)
    assert found.score == pytest.approx(best_of_all(supernet, 0.85 * supernet.shared_macs, "macs"))
    assert found.score <= found.bound


def test_what_opens_paths_is_taken_where_it_fits() -> None:
    backbone = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1))
    heads = {t: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1)) for t in "ab"}
    supernet = convert(backbone, heads, torch.rand(2, 3, 10, 10), start="dirichlet", seed=1)
    found = choose_within(supernet, 0.7)
    assert found.score == pytest.approx(best_of_all(supernet, 0.7 * supernet.shared_macs, "macs"))


def test_a_loose_budget_gives_the_most_probable_allocation(learned: Supernet) -> None:
    found = choose_within(learned, 1.0)
    assert found.allocation == learned.allocation()
    assert found.bound == pytest.approx(found.score)
    assert choose_allocation(learned, "budget", budget=10**9) == learned.allocation()


def test_what_makes_no_sense_is_refused(learned: Supernet) -> None:
    for arguments in ({"by": "budget"}, {"by": "threshold", "threshold": 0}, {"by": "luck"}):
        with pytest.raises(ConfigError, match="choose_allocation"):
            choose_allocation(learned, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="costs at most"):
        choose_within(learned, 1e-9)
