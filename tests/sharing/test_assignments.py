from __future__ import annotations

import math

import pytest
import torch

from sfg_nas.sharing.assignments import Assignments

P = torch.tensor([0.5, 0.3, 0.2])


def rows(count: int, **options: object) -> Assignments:
    """Return assignments with the same probabilities in every row."""
    return Assignments(P.repeat(count, 1), 3, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
def test_samples_follow_the_probabilities_at_any_temperature(temperature: float) -> None:
    count = 40_000
    assignments = rows(count)
    assignments.temperature = temperature
    frequencies = assignments.sample()[:count].mean(0)
    spread = (P * (1 - P) / count).sqrt()
    assert bool(((frequencies - P).abs() < 4 * spread).all()), frequencies


def test_soft_samples_lie_inside_the_simplex_and_harden_as_the_temperature_falls() -> None:
    assignments = rows(2000, estimator="soft")
    largest = []
    for temperature in (5.0, 1.0, 0.05):
        assignments.temperature = temperature
        masks = assignments.sample()[:2000].detach()
        assert torch.allclose(masks.sum(1), torch.ones(2000), atol=1e-5)
        assert bool((masks >= 0).all())
        largest.append(float(masks.max(1).values.mean()))
    assert largest[0] < largest[1] < largest[2]
    assert largest[0] < 0.6
    assert largest[2] > 0.95


def test_straight_through_is_one_hot_forward_and_soft_backward() -> None:
    hard, soft = rows(50, seed=4), rows(50, seed=4, estimator="soft")
    one, two = hard.sample()[:50], soft.sample()[:50]
    assert set(one.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(one.argmax(1), two.argmax(1))
    scale = torch.randn(50, 3)
    gradients = [
        torch.autograd.grad((masks * scale).sum(), [a.filter_logits])[0]
        for masks, a in ((one, hard), (two, soft))
    ]
    assert torch.allclose(*gradients)


def is_soft(assignments: Assignments) -> bool:
    return len(assignments.sample()[:50].unique()) > 2


def test_soft_first_changes_over_at_its_share_of_the_search() -> None:
    assignments = rows(50, estimator="soft-first", soft_share=0.25)
    found = []
    for progress in (0.0, 0.2, 0.25, 0.9):
        assignments.progress = progress
        found.append(is_soft(assignments))
    assert found == [True, True, False, False]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_mixed_draws_soft_masks_as_often_as_it_is_told(share: float) -> None:
    draws = 300
    assignments = rows(50, estimator="mixed", soft_share=share, seed=2)
    soft = [is_soft(assignments) for _ in range(draws)]
    assert abs(sum(soft) / draws - share) <= 4 * (share * (1 - share) / draws) ** 0.5
    again = rows(50, estimator="mixed", soft_share=share, seed=2)
    assert [is_soft(again) for _ in range(20)] == soft[:20]


def test_owners_that_are_no_group_are_never_drawn() -> None:
    assignments = Assignments(P.repeat(10, 1), 5)
    table = assignments.sample()
    assert table.shape == (15, 5)
    assert float(table[:10, 3:].detach().abs().max()) == 0
    assert torch.equal(table[10:], torch.eye(5))


def test_draws_depend_on_seed_and_number_alone() -> None:
    one, two, three = rows(20, seed=1), rows(20, seed=1), rows(20, seed=2)
    first = [one.sample() for _ in range(3)]
    torch.manual_seed(5)
    two.draws = 2
    assert torch.equal(two.sample(), first[2])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(three.sample(), first[0])


def test_entropy_by_hand() -> None:
    expected = -(0.5 * math.log(0.5) + 0.3 * math.log(0.3) + 0.2 * math.log(0.2))
    assert rows(4).entropy().tolist() == pytest.approx([expected] * 4, rel=1e-5)
    certain = Assignments(torch.tensor([[1.0, 0.0, 0.0]]), 3)
    assert float(certain.entropy().detach()) == pytest.approx(0.0, abs=1e-5)
    uniform = Assignments(torch.full((1, 3), 1 / 3), 3)
    assert float(uniform.entropy().detach()) == pytest.approx(math.log(3), rel=1e-6)


def test_probabilities_are_those_given() -> None:
    assert torch.allclose(rows(2).probabilities(), P.repeat(2, 1))


def test_a_term_per_layer_moves_its_filters_as_one() -> None:
    assignments = rows(4, layer_of=torch.tensor([0, 0, 1, 1]))
    assert torch.allclose(assignments.probabilities(), P.repeat(4, 1))
    assert assignments.layer_logits is not None
    with torch.no_grad():
        assignments.layer_logits[1, 2] += 2.0
    moved = P * torch.tensor([1.0, 1.0, math.exp(2.0)])
    found = assignments.probabilities()
    assert torch.allclose(found[:2], P.repeat(2, 1))
    assert torch.allclose(found[2:], (moved / moved.sum()).repeat(2, 1))


def test_hardened_masks_are_used_whether_sampling_or_not() -> None:
    assignments = rows(3)
    assignments.hard = torch.tensor([2, 0, 1])
    for sample in (True, False):
        assert torch.equal(assignments.current(sample=sample)[:3].argmax(1), assignments.hard)
    assert assignments.draws == 0


@pytest.mark.parametrize("estimator", ["straight-through", "soft"])
def test_kept_variables_never_leave_their_group(estimator: str) -> None:
    assignments = rows(4, estimator=estimator, kept=torch.tensor([2, -1, 0, -1]))
    for temperature in (0.05, 5.0):
        assignments.temperature = temperature
        for _ in range(20):
            masks = assignments.sample()
            assert masks[0].tolist() == [0, 0, 1]
            assert masks[2].tolist() == [1, 0, 0]
    assert torch.allclose(assignments.probabilities()[1], P)
    assert assignments.entropy()[0] == 0
    (assignments.sample().square().sum() + assignments.entropy().sum()).backward()
    gradient = assignments.filter_logits.grad
    assert gradient is not None
    assert bool(gradient.isfinite().all())
    assert gradient[[0, 2]].abs().max() == 0
    assert gradient[[1, 3]].abs().max() > 0
