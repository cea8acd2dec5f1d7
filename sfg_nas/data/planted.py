"""Images made of known factors, so that the right sharing is known: who needs what was planted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from sfg_nas.data.arrays import assemble, digest
from sfg_nas.data.bundle import DataBundle
from sfg_nas.data.checks import check_integer, check_name
from sfg_nas.data.location import Location
from sfg_nas.data.splits import Splits
from sfg_nas.errors import ConfigError, explain
from sfg_nas.tasks import Task

Floats = NDArray[np.float32]
Target = Literal["number", "class"]

CHANNELS = 3
SIDE = 3
"""Side of a factor's pattern in pixels."""
MOST_TASKS = 5


@dataclass(frozen=True, eq=False)
class Truth:
    """What was planted.

    Attributes:
        tasks: Names of the T tasks.
        roles: For each of the F factors the indices of the tasks that need it: its right group.
        patterns: What a factor looks like, `[F, 3, 3, 3]`, mean 0 and norm 1.
        effects: What the presence of a factor adds to each task's number, `[T, F]`; 0 where the task
            does not need it, else between 0.75 and 1.25 with either sign.
    """

    tasks: tuple[str, ...]
    roles: tuple[frozenset[int], ...]
    patterns: Floats
    effects: Floats


def plant(
    *,
    tasks: int = 2,
    factors: int = 6,
    relatedness: float = 0.5,
    conflict: float = 0.0,
    pairs: bool = True,
    seed: int = 0,
) -> Truth:
    """Return factors, who needs them, and what they look like.

    Each task needs the same number of factors. `relatedness` of them are common, the others its own.
    With three tasks or more, some of the common ones are needed by two neighbouring tasks only (on a
    ring; see `pairs`), the rest by all.

    Args:
        tasks: T, from 2 to 5.
        factors: Factors that each task needs.
        relatedness: Share of a task's factors that others need too: 0 nothing, 1 everything.
        conflict: How much the patterns of the tasks' own factors oppose each other: the cosine
            between the i-th own patterns of two tasks is `-conflict / (T - 1)`.
        pairs: Whether two neighbouring tasks may need a factor that the others do not; else what is
            common is common to all. `specialists` has no group for pairs.
        seed: Seed of patterns and effects.

    Raises:
        ConfigError: If an option is impossible.
    """
    check_integer("planted: tasks", tasks, 2)
    check_integer("planted: factors", factors, 1)
    check_integer("planted: seed", seed, 0)
    _check_part("relatedness", relatedness)
    _check_part("conflict", conflict)
    if not isinstance(pairs, bool):
        _refuse("pairs", "true or false is needed", pairs)
    if tasks > MOST_TASKS:
        _refuse("tasks", f"at most {MOST_TASKS} tasks are possible", tasks)
    roles = _roles(tasks, factors, round(relatedness * factors), pairs=pairs)
    rng = np.random.default_rng([seed, 20])
    patterns = _patterns(roles, tasks, conflict, rng)
    needed = np.array([[task in role for role in roles] for task in range(tasks)])
    size = rng.uniform(0.75, 1.25, needed.shape) * rng.choice([-1.0, 1.0], needed.shape)
    names = tuple("abcde"[:tasks])
    return Truth(names, roles, patterns, np.where(needed, size, 0.0).astype(np.float32))


def load(  # noqa: PLR0913 - the dials of the data set, each with its default
    location: Location,
    *,
    size: int = 16,
    tasks: int = 2,
    factors: int = 6,
    relatedness: float = 0.5,
    conflict: float = 0.0,
    pairs: bool = True,
    noise: float = 0.05,
    target: Target = "number",
    train: int = 3000,
    validation: int = 1000,
    test: int = 1000,
    fraction: float = 1.0,
    seed: int = 0,
) -> DataBundle:
    """Return images in which each factor is present or not, and the tasks that read them.

    A factor is present with probability 1/2, independently, as its pattern at a random place. Task t's
    number is the sum of `effects[t]` over the factors that are present. What the right allocation is,
    and what makes it identifiable, is in `docs/planted.md`.

    Args:
        location: Unused; the images are generated.
        size: Side of the images in pixels, at least 8.
        tasks: Number of tasks, from 2 to 5; they are called a, b, c, ...
        factors: Factors that each task needs.
        relatedness: Share of a task's factors that are common, 0 to 1.
        conflict: How much the tasks' own patterns oppose each other, 0 to 1.
        pairs: Whether two neighbouring tasks may need a factor that the others do not.
        noise: Standard deviation of the noise that each pixel gets; a pattern has norm 1.
        target: `number` (regression) or `class` (whether the number is above its mean).
        train: Training images.
        validation: Validation images.
        test: Test images.
        fraction: The share of the training images to keep.
        seed: Seed of factors and images.

    Raises:
        ConfigError: If an option is impossible.
    """
    del location
    check_integer("planted: size", size, 8)
    check_name("planted: target", target, ("number", "class"))
    if not (isinstance(noise, int | float) and 0 <= noise < 100):
        _refuse("noise", "a number of at least 0 is needed", noise)
    truth = plant(
        tasks=tasks,
        factors=factors,
        relatedness=relatedness,
        conflict=conflict,
        pairs=pairs,
        seed=seed,
    )
    counts = {"train": train, "validation": validation, "test": test}
    for part, count in counts.items():
        check_integer(f"planted: {part}", count, 1)
    rng = np.random.default_rng([seed, 21])
    present = rng.random((sum(counts.values()), len(truth.roles))) < 0.5
    images = _compose(truth.patterns, present, size, noise, rng)
    numbers = present.astype(np.float32) @ truth.effects.T
    ends = np.cumsum(list(counts.values()))
    parts = [np.arange(end - n, end) for end, n in zip(ends, counts.values(), strict=True)]
    return assemble(
        "planted",
        images,
        {
            name: _targets(numbers[:, t], truth.effects[t], target)
            for t, name in enumerate(truth.tasks)
        },
        tuple(_task(name, target) for name in truth.tasks),
        Splits(*parts).with_fraction(fraction, seed),
        content=digest(images),
        augmentations=(),
    )


def _roles(tasks: int, factors: int, common: int, *, pairs: bool) -> tuple[frozenset[int], ...]:
    """Return the role of every factor: own ones task by task, then pairs, then those of all."""
    own = factors - common
    # Each task stands in two neighbouring pairs; two tasks have no pair that is not all of them.
    per_pair = (min(own, common) + 2) // 4 if pairs and tasks > 2 else 0
    ring = [frozenset({task, (task + 1) % tasks}) for task in range(tasks)]
    singles = [frozenset({task}) for task in range(tasks) for _ in range(own)]
    of_two = [pair for pair in ring for _ in range(per_pair)]
    everyone = [frozenset(range(tasks))] * (common - 2 * per_pair)
    return (*singles, *of_two, *everyone)


def _patterns(
    roles: tuple[frozenset[int], ...], tasks: int, conflict: float, rng: np.random.Generator
) -> Floats:
    size = CHANNELS * SIDE * SIDE
    fresh = rng.standard_normal((len(roles), size))
    fresh -= fresh.mean(1, keepdims=True)
    if len(roles) < size:  # as different as there is room for
        fresh = np.linalg.qr(fresh.T)[0].T
    fresh /= np.linalg.norm(fresh, axis=1, keepdims=True)
    own = sum(len(role) == 1 for role in roles) // tasks
    cosine = -conflict / (tasks - 1)
    values, vectors = np.linalg.eigh((1 - cosine) * np.eye(tasks) + cosine)
    mix = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    for i in range(own):
        rivals = i + own * np.arange(tasks)
        if conflict > 0 and len(roles) >= size:  # of so many not all are orthogonal, but these few
            fresh[rivals] = np.linalg.qr(fresh[rivals].T)[0].T
        fresh[rivals] = mix @ fresh[rivals]
    shaped: Floats = fresh.reshape(len(roles), CHANNELS, SIDE, SIDE).astype(np.float32)
    return shaped


def _compose(
    patterns: Floats, present: NDArray[np.bool_], size: int, noise: float, rng: np.random.Generator
) -> Floats:
    images = noise * rng.standard_normal((len(present), CHANNELS, size, size), dtype=np.float32)
    rows, columns = rng.integers(0, size - SIDE + 1, (2, *present.shape))
    for factor, pattern in enumerate(patterns):
        for image in np.flatnonzero(present[:, factor]):
            row, column = rows[image, factor], columns[image, factor]
            images[image, :, row : row + SIDE, column : column + SIDE] += pattern
    return images.astype(np.float32, copy=False)


def _targets(numbers: Floats, effects: Floats, target: Target) -> Floats | NDArray[np.int64]:
    if target == "number":
        return numbers
    classes: NDArray[np.int64] = (numbers > effects.sum() / 2).astype(np.int64)
    return classes


def _task(name: str, target: Target) -> Task:
    return Task(name, "regression") if target == "number" else Task(name, "classification", 2)


def _check_part(key: str, value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:  # type: ignore[operator]
        _refuse(key, "a number from 0 to 1 is needed", value)


def _refuse(key: str, rule: str, found: object) -> NoReturn:
    raise ConfigError(
        explain(where=f"planted: {key}", rule=rule, found=repr(found), do="change the value")
    )
