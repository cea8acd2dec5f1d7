"""Planted factors: who needs which, what they look like, and what the dials do."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from sfg_nas.data import load_data
from sfg_nas.data.planted import plant
from sfg_nas.errors import ConfigError

SMALL = {"train": 400, "validation": 50, "test": 50}


def role_counts(**options: float) -> Counter[str]:
    """Return how many factors each set of tasks needs, sets written like `ab`."""
    truth = plant(**options)  # type: ignore[arg-type]
    return Counter("".join(truth.tasks[t] for t in sorted(role)) for role in truth.roles)


@pytest.mark.parametrize(
    ("tasks", "factors", "relatedness", "expected"),
    [
        (2, 6, 0.5, {"a": 3, "b": 3, "ab": 3}),
        (2, 6, 0.0, {"a": 6, "b": 6}),
        (2, 6, 1.0, {"ab": 6}),
        (3, 8, 0.5, {"a": 4, "b": 4, "c": 4, "ab": 1, "bc": 1, "ac": 1, "abc": 2}),
        (3, 8, 0.25, {"a": 6, "b": 6, "c": 6, "ab": 1, "bc": 1, "ac": 1}),
        (3, 8, 1.0, {"abc": 8}),
        (4, 4, 0.5, {**dict.fromkeys("abcd", 2), "ab": 1, "bc": 1, "cd": 1, "ad": 1}),
    ],
)
def test_roles_by_hand(
    tasks: int, factors: int, relatedness: float, expected: dict[str, int]
) -> None:
    assert role_counts(tasks=tasks, factors=factors, relatedness=relatedness) == expected


def test_without_pairs_what_is_common_is_common_to_all() -> None:
    counts = role_counts(tasks=4, factors=4, relatedness=0.5, pairs=False)
    assert counts == {**dict.fromkeys("abcd", 2), "abcd": 2}
    parts = [load_data("planted", **SMALL, tasks=4, pairs=pairs) for pairs in (True, False)]
    assert not np.array_equal(parts[0].train.images, parts[1].train.images)


@pytest.mark.parametrize("tasks", [2, 3, 4, 5])
@pytest.mark.parametrize("relatedness", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_each_task_needs_its_number_and_the_dial_its_share(tasks: int, relatedness: float) -> None:
    truth = plant(tasks=tasks, factors=8, relatedness=relatedness)
    assert ((truth.effects != 0).sum(1) == 8).all()
    for task in range(tasks):
        common = sum(task in role and len(role) > 1 for role in truth.roles)
        assert common == round(8 * relatedness)
    needed = [{t for t in range(tasks) if truth.effects[t, f]} for f in range(len(truth.roles))]
    assert needed == [set(role) for role in truth.roles]


@pytest.mark.parametrize("tasks", [2, 3])
@pytest.mark.parametrize("conflict", [0.0, 0.6, 1.0])
def test_conflict_is_the_cosine_of_own_patterns(tasks: int, conflict: float) -> None:
    truth = plant(tasks=tasks, factors=4, relatedness=0.5, conflict=conflict)
    flat = truth.patterns.reshape(len(truth.roles), -1)
    cosines = flat @ flat.T
    np.testing.assert_allclose(np.diag(cosines), 1, atol=1e-5)
    np.testing.assert_allclose(flat.mean(1), 0, atol=1e-6)
    own = sum(len(role) == 1 for role in truth.roles) // tasks
    expected = np.eye(len(flat))
    for i in range(own):
        for one in range(tasks):
            for other in range(tasks):
                if one != other:
                    expected[i + own * one, i + own * other] = -conflict / (tasks - 1)
    np.testing.assert_allclose(cosines, expected, atol=1e-5)


def test_own_patterns_keep_norm_and_cosine_where_not_all_can_be_orthogonal() -> None:
    truth = plant(tasks=5, factors=8, relatedness=0.0, conflict=0.6)
    own = truth.patterns.reshape(5, 8, -1)
    expected = np.full((5, 5), -0.15)
    np.fill_diagonal(expected, 1.0)
    for rivals in own.transpose(1, 0, 2):
        np.testing.assert_allclose(rivals @ rivals.T, expected, atol=1e-6)
    np.testing.assert_allclose(own.mean(2), 0.0, atol=1e-6)


def test_targets_are_effects_of_what_can_be_seen() -> None:
    bundle = load_data("planted", **SMALL, noise=0.0)
    truth = plant()
    images = torch.from_numpy(bundle.train.images[bundle.train.indices])
    found = torch.nn.functional.conv2d(images, torch.from_numpy(truth.patterns)).amax((2, 3))
    present = (found > 0.75).float()  # now and then an overlap hides a pattern or imitates one
    for t, task in enumerate(bundle.tasks):
        rebuilt = present @ torch.from_numpy(truth.effects[t])
        target = bundle.train.targets[task.name]
        correlation = float(torch.corrcoef(torch.stack([rebuilt, target]))[0, 1])
        assert correlation > 0.9
        other = present @ torch.from_numpy(np.roll(truth.effects[t], 4))
        assert abs(float(torch.corrcoef(torch.stack([other, target]))[0, 1])) < correlation - 0.2


def test_tasks_do_not_depend_on_the_factors_of_others() -> None:
    one = load_data("planted", **SMALL, relatedness=0.0).train.targets
    both = torch.corrcoef(torch.stack([one["a"], one["b"]]))[0, 1]
    assert abs(float(both)) < 0.2


def test_noise_is_the_deviation_of_the_empty_image() -> None:
    bundle = load_data("planted", **SMALL, noise=3.0)
    assert bundle.train.std == pytest.approx([3.0] * 3, rel=0.02)


def test_number_of_tasks_and_kind_of_target() -> None:
    bundle = load_data("planted", **SMALL, tasks=5, factors=2)
    assert [task.name for task in bundle.tasks] == list("abcde")
    assert {task.kind for task in bundle.tasks} == {"regression"}
    classes = load_data("planted", **SMALL, target="class")
    assert [(task.kind, task.outputs) for task in classes.tasks] == [("classification", 2)] * 2
    for task in classes.tasks:
        assert 0.4 < float(classes.train.targets[task.name].float().mean()) < 0.6
        numbers = load_data("planted", **SMALL).train.targets[task.name]
        above = numbers > plant().effects["ab".index(task.name)].sum() / 2
        assert (classes.train.targets[task.name] == above).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"tasks": 1},
        {"tasks": 6},
        {"factors": 0},
        {"relatedness": 1.5},
        {"relatedness": -0.1},
        {"conflict": 2},
        {"pairs": 1},
        {"noise": -1},
        {"target": "ratio"},
        {"size": 7},
        {"train": 0},
        {"seed": -1},
    ],
)
def test_impossible_options(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        load_data("planted", **{**SMALL, **wrong})
