"""No task loses its path from the image when a supernet is hardened, and as little as possible is changed for it."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

from sfg_nas.fixed import choose, choose_within, distill
from sfg_nas.sharing import Supernet, convert
from sfg_nas.sharing.paths import most_probable, open_paths, without_path
from tests.conversions import VARIANTS, Variant, label, pair
from tests.networks import conv, pooled


def lopsided(supernet: Supernet, seed: int) -> torch.Tensor:
    """Let each layer prefer few groups, and return the most probable group of each variable `[V]`."""
    generator = torch.Generator().manual_seed(seed)
    logits = supernet.assignments.filter_logits
    with torch.no_grad():
        for rows in supernet.wiring.layers.values():
            taste = 6 * torch.randn(logits.shape[1], generator=generator)
            logits[rows] = taste + torch.randn(len(rows), logits.shape[1], generator=generator)
    return logits.detach().argmax(1)


def small(filters: tuple[int, int] = (2, 2), tasks: str = "ab", **options: object) -> Supernet:
    first, second = filters
    backbone = nn.Sequential(conv(3, first), nn.ReLU(), conv(first, second), nn.ReLU())
    heads = {task: pooled(second)(1) for task in tasks}
    return convert(backbone, heads, torch.zeros(1, 3, 8, 8), **options)  # type: ignore[arg-type]


def score(supernet: Supernet, chosen: torch.Tensor) -> float:
    log_p = supernet.assignments.log_probabilities().detach()
    return float(log_p.gather(1, chosen.unsqueeze(1)).sum())


@pytest.mark.parametrize("variant", VARIANTS, ids=label)
def test_every_task_keeps_a_path(variant: Variant) -> None:
    supernet = pair(*variant).connections
    before = supernet.assignments.filter_logits.detach().clone()
    try:
        for seed in range(2):
            raw = lopsided(supernet, seed)
            unfed = [
                f
                for f in distill(supernet, supernet.wiring.allocation(raw)).lint()
                if "not fed" in f
            ]
            lost = without_path(supernet.wiring, raw)
            assert len(lost) == len(unfed)
            found = most_probable(supernet.wiring, supernet.assignments)
            assert (found != raw).any() == bool(lost)
            assert distill(supernet, supernet.allocation()).lint() == []
    finally:
        supernet.assignments.filter_logits.data.copy_(before)


@pytest.mark.parametrize("seed", range(8))
def test_the_change_for_one_task_is_the_least(seed: int) -> None:
    supernet = small()
    with torch.no_grad():  # nothing is b's
        for row, logits in enumerate(
            torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
        ):
            logits[0] += 4.0
            supernet.assignments.filter_logits[row] = logits
    raw = supernet.assignments.logits.detach().argmax(1)
    assert without_path(supernet.wiring, raw) == [1]
    found = most_probable(supernet.wiring, supernet.assignments)
    every = [torch.tensor(groups) for groups in product(range(3), repeat=4)]
    with_paths = [chosen for chosen in every if not without_path(supernet.wiring, chosen)]
    # the path that a has, through its most probable filters, is left alone
    log_p = supernet.assignments.log_probabilities().detach()
    path = [int(log_p[:2, 0].argmax()), 2 + int(log_p[2:, 0].argmax())]
    allowed = [chosen for chosen in with_paths if (chosen[path] == 0).all()]
    assert score(supernet, found) == pytest.approx(max(score(supernet, c) for c in allowed))


def test_tasks_share_a_path_where_filters_are_too_few() -> None:
    supernet = small((1, 2), tasks="abc")
    with torch.no_grad():
        supernet.assignments.filter_logits.copy_(5 * torch.eye(4)[[0, 0, 1]])
    assert without_path(supernet.wiring, torch.tensor([0, 0, 1])) == [1, 2]
    found = most_probable(supernet.wiring, supernet.assignments)
    assert without_path(supernet.wiring, found) == []
    assert found.tolist()[0] == 3


def test_what_no_change_can_mend_is_left() -> None:
    supernet = small((1, 1), groups=[["a"], ["b"]])
    with torch.no_grad():
        supernet.assignments.filter_logits.copy_(torch.tensor([[2.0, 0.0], [2.0, 0.0]]))
    assert most_probable(supernet.wiring, supernet.assignments).tolist() == [0, 0]


def test_layers_that_never_part_are_left_alone() -> None:
    supernet = small((3, 3), branch_from=1)
    kept = supernet.assignments.kept
    assert kept is not None
    with torch.no_grad():
        supernet.assignments.filter_logits.copy_(5 * torch.eye(3)[[0] * 6])
    found = most_probable(supernet.wiring, supernet.assignments)
    assert without_path(supernet.wiring, found) == []
    assert found[:3].tolist() == [2, 2, 2]
    assert sorted(found[3:].tolist()) != [0, 0, 0]


def test_hard_predictions_and_the_record_know_of_it() -> None:
    supernet = small((3, 3)).eval()
    with torch.no_grad():
        supernet.assignments.filter_logits.copy_(5 * torch.eye(3)[[0] * 6])
    x = torch.randn(5, 3, 8, 8)
    hard = supernet.predict(x, mode="hard")["b"][0]
    assert float(hard.std()) > 1e-4  # not a constant
    choice = choose(supernet)
    assert choice.moved == 2
    assert choice.allocation == supernet.allocation()
    assert torch.equal(supernet.harden(supernet.allocation())(x)["b"], hard)
    shared = supernet.relax().wiring.variables_of(choice.allocation)
    assert torch.equal(open_paths(supernet.wiring, supernet.assignments, shared), shared)


@pytest.mark.parametrize("tasks", ["ab", "abc"])
def test_a_budget_leaves_every_task_a_path(tasks: str) -> None:
    supernet = small((4, 4), tasks)
    mended = 0
    for seed, share in product(range(8), (0.75, 0.9)):
        raw = lopsided(supernet, seed)
        found = choose_within(supernet, share)
        chosen = supernet.wiring.variables_of(found.allocation)
        assert without_path(supernet.wiring, chosen) == []
        assert found.cost <= share * supernet.shared_macs
        assert score(supernet, chosen) == pytest.approx(found.score)
        assert found.score <= found.bound + 1e-9
        mended += bool(without_path(supernet.wiring, raw))
    assert mended > 4
